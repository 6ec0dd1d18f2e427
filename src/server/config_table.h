#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "json/fields.h"
#include "json/value.h"

namespace weir::server {

// One table of the configuration: json::Fields in a configuration's words. It can note every key
// that is looked for ("backend.price.input"), which is how a test knows all there are.
//
// Invariant: the message of every error begins with its field, the path of the key
// ("backend[0].price.input"), which the reader of the whole file makes readable.
// Ownership: borrows the value and the set.
class ConfigTable {
  public:
    using KeysRead = std::set<std::string>;

    // `value` must be a table. `keys` may be null.
    static Result<ConfigTable> of(const json::Value& value, std::string path, KeysRead* keys);

    // Values of every kind that Fields reads; an absent key leaves `out` as it is.
    template <typename... Arguments>
    Result<void> read(std::string_view key, Arguments&&... arguments) {
        note(key);
        return fields_.read(key, std::forward<Arguments>(arguments)...);
    }
    Result<std::string> require_string(std::string_view key);
    Result<const json::Array*> require_array(std::string_view key);
    Result<const json::Array*> array(std::string_view key);  // nullptr if absent
    Result<std::optional<ConfigTable>> table(std::string_view key);

    // Calls `read` with each of the tables written as [[key]].
    template <typename Read>
    Result<void> for_each_table(std::string_view key, Read read) {
        WEIR_TRY_ASSIGN(const json::Array* tables, tables_of(key));
        for (size_t i = 0; tables != nullptr && i < tables->size(); ++i) {
            WEIR_TRY_ASSIGN(auto one,
                            of(tables->at(i), fmt::format("{}[{}]", path_of(key), i), keys_));
            WEIR_TRY(read(std::move(one)));
        }
        return {};
    }

    // InvalidArgument naming the first key that nobody looked for.
    Result<void> refuse_unknown() const;

    std::string path_of(std::string_view key) const { return fields_.path_of(key); }

    // "backend[0].path WHY".
    template <typename... Arguments>
    std::unexpected<Error> refuse(std::string_view key, fmt::format_string<Arguments...> why,
                                  Arguments&&... arguments) const {
        return refuse_text(key, fmt::format(why, std::forward<Arguments>(arguments)...));
    }

    // What somebody else read from the key's text; their error gets the key's path.
    template <typename T>
    Result<T> checked(std::string_view key, Result<T> parsed) const {
        if (!parsed) {
            return refuse(key, "is wrong: {}", parsed.error().message);
        }
        return parsed;
    }

  private:
    ConfigTable(json::Fields fields, KeysRead* keys) : fields_(std::move(fields)), keys_(keys) {}
    std::unexpected<Error> refuse_text(std::string_view key, const std::string& why) const;
    Result<const json::Array*> tables_of(std::string_view key);
    void note(std::string_view key);

    json::Fields fields_;
    KeysRead* keys_;
};

}  // namespace weir::server
