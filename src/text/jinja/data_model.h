#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/runtime.h"

namespace weir::text::jinja {

// Python's data model over Values: what operators, len(), iteration, str() and repr() do, with
// Jinja's undefined among the types. Comparing ignores where characters come from; whatever text
// results keeps it.

bool truthy(const Value& value);
Outcome<size_t> length(Runtime& rt, const Value& value);
Outcome<bool> equals(Runtime& rt, const Value& a, const Value& b);
Outcome<int> order(Runtime& rt, const Value& a, const Value& b);  // for <: what cannot be, raises
Outcome<bool> contains(Runtime& rt, const Value& container, const Value& item);

// Walks over an iterable, lazily; a list that grows meanwhile is followed.
class Cursor {
  public:
    static Outcome<Cursor> over(const Value& iterable);
    Outcome<std::optional<Value>> next(Runtime& rt);

  private:
    explicit Cursor(const Value& iterable) : iterable_(iterable) {}
    Value iterable_;
    size_t at_ = 0;  // index; byte of a string
};
bool is_iterable(const Value& value);
Outcome<std::vector<Value>> to_vector(Runtime& rt, const Value& iterable);

enum class Operator : uint8_t { Add, Subtract, Multiply, Divide, FloorDivide, Modulo, Power };
Outcome<Value> apply(Runtime& rt, Operator op, const Value& a, const Value& b);
Outcome<Value> negate(const Value& value);
Outcome<Value> plus(const Value& value);  // the unary one

// `value.name` and `value[key]`, as the sandboxed environment looks them up: what is not there is
// undefined, what the sandbox keeps away is undefined and refuses to be called.
Outcome<Value> get_attribute(Runtime& rt, const Value& value, const std::string& name);
Outcome<Value> get_item(Runtime& rt, const Value& value, const Value& key);
Outcome<Value> get_slice(Runtime& rt, const Value& value, const Value& start, const Value& stop,
                         const Value& step);

// str(value) and repr(value).
Outcome<void> append_str(Runtime& rt, const Value& value, TextBuilder& out);
Outcome<void> append_repr(Runtime& rt, const Value& value, TextBuilder& out);
Outcome<Value> to_str(Runtime& rt, const Value& value);  // a Str; itself if it is one

// The error that using an undefined value is; also for calling it.
std::unexpected<Raised> undefined_error(const Value& undefined);
std::unexpected<Raised> type_error(std::string_view what, const Value& value);  // "what: 'type'"

// An integer argument that must fit; Bool counts as one.
Outcome<Whole> to_index(const Value& value);

// Characters of valid UTF-8.
size_t count_characters(std::string_view text);
size_t byte_of_character(std::string_view text, size_t index);  // text.size() past the end
size_t character_bytes(std::string_view text, size_t at);       // 0 at the end

// Where `wanted` is at or after `from`, or npos. Linear in the worst case, as std::string's own
// search is not.
size_t find_bytes(std::string_view text, std::string_view wanted, size_t from);

}  // namespace weir::text::jinja
