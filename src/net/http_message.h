#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::net {

struct Header {
    std::string name;
    std::string value;
};

// HTTP header fields in the order they came. Names compare without case; values are kept as they
// are: never percent-decoded (HT7).
class Headers {
  public:
    Headers() = default;
    Headers(std::initializer_list<Header> fields) : fields_(fields) {}

    void add(std::string name, std::string value) {
        fields_.push_back({std::move(name), std::move(value)});
    }
    // The first value of that name; a view into this object.
    std::optional<std::string_view> find(std::string_view name) const;
    size_t count(std::string_view name) const;
    size_t size() const { return fields_.size(); }
    auto begin() const { return fields_.begin(); }
    auto end() const { return fields_.end(); }

  private:
    std::vector<Header> fields_;
};

// ASCII letters only; a byte above 127 equals only itself.
bool equals_ignoring_case(std::string_view a, std::string_view b);

// RFC 9110 token: a method or a field name.
bool is_token(std::string_view text);
// No control character but TAB, so no way to begin another line.
bool is_field_value(std::string_view text);

// "Not Found" for 404; "Status" for one that we do not know.
std::string_view reason_phrase(int status);

}  // namespace weir::net
