#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "json/value.h"

namespace weir::json {

// Both ends included.
template <typename T>
struct Range {
    T min;
    T max;
};

template <typename T>
Range<T> in_range(T min, T max) {
    return {min, max};
}

// Reads one object's members by name and type, and remembers which were asked for, so that what
// nobody knows can be refused by name. Errors are InvalidArgument and their `field` is the full
// path ("messages[2].content"). A member that is null counts as absent.
//
// Ownership: borrows the object.
class Fields {
  public:
    Fields(const Object& object, std::string path) : object_(object), path_(std::move(path)) {}

    // A Fields over `value`, which must be an object.
    static Result<Fields> of(const Value& value, std::string path);

    // The member, or nullptr if it is absent or null. Counts as asked for.
    const Value* get(std::string_view name);

    Result<void> read(std::string_view name, bool& out);
    Result<void> read(std::string_view name, std::string& out);  // absent: left as it is
    Result<void> read(std::string_view name, std::optional<bool>& out);
    Result<void> read(std::string_view name, std::optional<std::string>& out);

    Result<void> read(std::string_view name, Range<int64_t> range, std::optional<int64_t>& out);
    Result<void> read(std::string_view name, Range<double> range, std::optional<double>& out);

    // Whole numbers of any width; the range must fit T.
    template <std::integral T>
        requires(!std::same_as<T, int64_t>)
    Result<void> read(std::string_view name, Range<T> range, std::optional<T>& out) {
        std::optional<int64_t> wide;
        WEIR_TRY(read(name, Range<int64_t>{int64_t(range.min), int64_t(range.max)}, wide));
        if (wide) {
            out = static_cast<T>(*wide);
        }
        return {};
    }
    template <typename T>
        requires std::is_arithmetic_v<T>
    Result<void> read(std::string_view name, Range<T> range, T& out) {
        std::optional<T> found;
        WEIR_TRY(read(name, range, found));
        out = found.value_or(out);
        return {};
    }
    Result<void> read(std::string_view name, Range<float> range, std::optional<float>& out) {
        std::optional<double> wide;
        WEIR_TRY(read(name, Range<double>{range.min, range.max}, wide));
        if (wide) {
            out = static_cast<float>(*wide);
        }
        return {};
    }

    Result<std::string> require_string(std::string_view name);
    Result<const Array*> require_array(std::string_view name);
    Result<const Array*> array(std::string_view name);    // nullptr if absent
    Result<const Object*> object(std::string_view name);  // nullptr if absent

    // Whether somebody has asked for the member, there or not.
    bool asked(std::string_view name) const;

    // Marks members as known and without effect.
    void ignore(std::initializer_list<std::string_view> names);

    // InvalidArgument naming the first member that nobody asked for.
    Result<void> refuse_unknown() const;

    std::string path_of(std::string_view name) const;

  private:
    std::unexpected<Error> wrong_type(std::string_view name, std::string_view wanted,
                                      const Value& found) const;

    const Object& object_;
    std::string path_;
    std::vector<std::string_view> asked_;
};

}  // namespace weir::json
