#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace weir::json {

class Value;

using Array = std::vector<Value>;

// An object that keeps its members in the order in which they were written, and finds them in
// logarithmic time. Keys are unique: the parser refuses duplicates, `set` replaces.
class Object {
  public:
    using Member = std::pair<std::string, Value>;

    const Value* find(std::string_view key) const;
    Value* find(std::string_view key);
    void set(std::string key, Value value);

    size_t size() const;
    bool empty() const;
    std::vector<Member>::const_iterator begin() const;
    std::vector<Member>::const_iterator end() const;
    std::vector<Member>::iterator begin();
    std::vector<Member>::iterator end();

    // Takes members as they are; returns the first key that occurs twice, or an empty view.
    std::string_view adopt(std::vector<Member> members);

    friend bool operator==(const Object& a, const Object& b);

  private:
    std::vector<Member> members_;
    std::vector<uint32_t> by_key_;  // indices into members_, sorted by key; only when it pays
};

// One JSON value. Numbers keep the kind in which they were written: whole numbers are int64_t
// (uint64_t above its range), everything else a finite double.
class Value {
  public:
    using Storage =
        std::variant<std::nullptr_t, bool, int64_t, uint64_t, double, std::string, Array, Object>;

    Value() : storage_(nullptr) {}
    Value(std::nullptr_t) : storage_(nullptr) {}
    Value(bool value) : storage_(value) {}
    Value(int value) : storage_(int64_t{value}) {}
    Value(int64_t value) : storage_(value) {}
    Value(uint64_t value) : storage_(value) {}
    Value(double value) : storage_(value) {}
    Value(const char* value) : storage_(std::string(value)) {}
    Value(std::string_view value) : storage_(std::string(value)) {}
    Value(std::string value) : storage_(std::move(value)) {}
    Value(Array value) : storage_(std::move(value)) {}
    Value(Object value) : storage_(std::move(value)) {}

    bool is_null() const { return std::holds_alternative<std::nullptr_t>(storage_); }
    bool is_number() const;
    const bool* if_bool() const { return std::get_if<bool>(&storage_); }
    const std::string* if_string() const { return std::get_if<std::string>(&storage_); }
    const Array* if_array() const { return std::get_if<Array>(&storage_); }
    Array* if_array() { return std::get_if<Array>(&storage_); }
    const Object* if_object() const { return std::get_if<Object>(&storage_); }
    Object* if_object() { return std::get_if<Object>(&storage_); }
    const Storage& storage() const { return storage_; }

    // "null", "boolean", "number", "string", "array" or "object", for messages.
    std::string_view kind() const;

    friend bool operator==(const Value& a, const Value& b) { return a.storage_ == b.storage_; }

  private:
    Storage storage_;
};

// Here, because only now is it known how large a Member is.
inline size_t Object::size() const {
    return members_.size();
}
inline bool Object::empty() const {
    return members_.empty();
}
inline std::vector<Object::Member>::const_iterator Object::begin() const {
    return members_.begin();
}
inline std::vector<Object::Member>::const_iterator Object::end() const {
    return members_.end();
}
inline std::vector<Object::Member>::iterator Object::begin() {
    return members_.begin();
}
inline std::vector<Object::Member>::iterator Object::end() {
    return members_.end();
}

}  // namespace weir::json
