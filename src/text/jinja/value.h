#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/marked_text.h"
#include "text/jinja/outcome.h"

namespace weir::text::jinja {

class Runtime;
class Value;
struct Macro;
struct Native;

// Python's integers, as far as 128 bits go; what would not fit raises.
__extension__ typedef __int128 Whole;
__extension__ typedef unsigned __int128 Magnitude;

// -2^127 has no positive counterpart among the Wholes.
constexpr Magnitude magnitude_of(Whole value) {
    return value < 0 ? Magnitude{0} - static_cast<Magnitude>(value) : static_cast<Magnitude>(value);
}

// What a call passes. The names live in the template or in the heap.
struct Args {
    std::vector<Value> positional;
    std::vector<std::pair<std::string_view, Value>> named;
};

struct Str {
    MarkedText text;
    bool markup = false;  // what `safe` and `escape` return: adding to it escapes the other side
};

// A list, a tuple or a dictionary view.
struct Seq {
    enum class Tag : uint8_t { Plain, Group, Keys, Values, Items };
    std::vector<Value> items;
    Tag tag = Tag::Plain;  // Group: groupby's (grouper, list)
};

struct Range {
    Whole start = 0;
    Whole step = 1;
    size_t length = 0;
};

// What a generator has left; it can be read once.
struct Generator {
    std::vector<Value> items;
    size_t next = 0;
};

struct Namespace {
    std::map<std::string, Value, std::less<>> attributes;
};

// cycler(...) and joiner(...).
struct Cycler {
    std::vector<Value> items;
    size_t position = 0;
};

class Dict;
struct LoopState;

enum class Kind : uint8_t {
    Undefined,
    None,
    Bool,
    Int,
    Float,
    Str,
    List,
    Tuple,
    View,
    Dict,
    Range,
    Generator,
    Namespace,
    Loop,
    Macro,
    Cycler,
    Joiner,
    Native,  // a function of the engine, perhaps bound to the value whose method it is
};

// One value: a scalar, or a borrowed pointer to an object of the render's Heap (or, for literals,
// of the template). Trivially copyable.
class Value {
  public:
    Value() = default;
    static Value boolean(bool b);
    static Value integer(Whole i);
    static Value real(double d);
    // `name` is what was looked up, `owner` the type that lacks it (nullptr: a variable).
    static Value undefined(const std::string* name, const char* owner);
    static Value unsafe(const std::string* name, const char* owner);  // calling it is refused
    static Value native(const Native& function);
    static Value bound(const Native& function, const Value& self);
    static Value of(const Str& s) { return object(Kind::Str, &s); }
    static Value list(Seq& s) { return object(Kind::List, &s); }
    static Value tuple(Seq& s) { return object(Kind::Tuple, &s); }
    static Value view(Seq& s) { return object(Kind::View, &s); }
    static Value of(const Dict& d) { return object(Kind::Dict, &d); }
    static Value of(const Range& r) { return object(Kind::Range, &r); }
    static Value of(Generator& g) { return object(Kind::Generator, &g); }
    static Value of(Namespace& n) { return object(Kind::Namespace, &n); }
    static Value of(LoopState& l) { return object(Kind::Loop, &l); }
    static Value of(const Macro& m) { return object(Kind::Macro, &m); }
    static Value cycler(Cycler& c) { return object(Kind::Cycler, &c); }
    static Value joiner(Cycler& c) { return object(Kind::Joiner, &c); }

    Kind kind() const { return kind_; }
    bool is(Kind kind) const { return kind_ == kind; }
    bool is_undefined() const { return kind_ == Kind::Undefined; }
    bool is_none() const { return kind_ == Kind::None; }
    bool is_str() const { return kind_ == Kind::Str; }
    bool is_whole() const { return kind_ == Kind::Int || kind_ == Kind::Bool; }
    bool is_number() const { return is_whole() || kind_ == Kind::Float; }
    bool is_seq() const {
        return kind_ == Kind::List || kind_ == Kind::Tuple || kind_ == Kind::View;
    }

    bool as_bool() const { return payload_.integer != 0; }
    Whole as_int() const { return payload_.integer; }  // Int and Bool
    double as_real() const;                            // any number
    const Str& str() const { return *static_cast<const Str*>(payload_.pair.first); }
    const MarkedText& text() const { return str().text; }
    const std::string& bytes() const { return str().text.bytes(); }
    Seq& seq() const { return mutable_object<Seq>(); }
    const std::vector<Value>& items() const { return seq().items; }
    const Dict& dict() const { return *static_cast<const Dict*>(payload_.pair.first); }
    const Range& range() const { return *static_cast<const Range*>(payload_.pair.first); }
    Generator& generator() const { return mutable_object<Generator>(); }
    Namespace& name_space() const { return mutable_object<Namespace>(); }
    LoopState& loop() const { return mutable_object<LoopState>(); }
    const Macro& macro() const { return *static_cast<const Macro*>(payload_.pair.first); }
    Cycler& cycler() const { return mutable_object<Cycler>(); }
    const Native& native() const { return *static_cast<const Native*>(payload_.pair.second); }
    Value self() const;  // of a bound Native; None if it is not bound

    const std::string* undefined_name() const {
        return static_cast<const std::string*>(payload_.pair.first);
    }
    const char* undefined_owner() const { return static_cast<const char*>(payload_.pair.second); }
    bool is_unsafe() const { return kind_ == Kind::Undefined && detail_ == Kind::Native; }

    // Python's `is`, as far as values show it.
    bool same_as(const Value& other) const;

  private:
    struct Pair {
        const void* first;
        const void* second;
    };
    union Payload {
        Whole integer;
        double real;
        Pair pair;
    };

    static Value object(Kind kind, const void* pointer);
    template <typename T>
    T& mutable_object() const {
        return *static_cast<T*>(const_cast<void*>(payload_.pair.first));
    }

    Payload payload_{.integer = 0};
    Kind kind_ = Kind::None;
    Kind detail_ = Kind::None;  // Native: the kind of self. Undefined: Native marks it unsafe
};

// A function of the engine: a method, a global.
struct Native {
    std::string_view name;
    Outcome<Value> (*call)(Runtime& rt, const Value& self, const Args& args);
};

// Immutable after `build`. Keeps the order of insertion; finds in logarithmic time whatever the
// keys are, so that no choice of keys makes it slow.
class Dict {
  public:
    using Entry = std::pair<Value, Value>;

    // Of equal keys the first key and the last value stay. All keys are hashable.
    static Dict build(std::vector<Entry> entries);

    size_t size() const { return entries_.size(); }
    const std::vector<Entry>& entries() const { return entries_; }
    const Value* find(const Value& key) const;  // `key` is hashable
    const Value* find(std::string_view key) const;

  private:
    std::vector<Entry> entries_;
    std::vector<uint32_t> by_key_;  // indices into entries_, sorted; empty while a scan is as fast
};

// What `loop` is inside a for statement.
struct LoopState {
    // The next item, nothing at the end. Both functions are empty once the statement is over.
    std::function<Outcome<std::optional<Value>>()> pull;
    // Renders the body for another iterable: `loop(...)` of a recursive loop.
    std::function<Outcome<Value>(const Value&)> recurse;
    std::deque<Value> ahead;  // pulled, not yet current
    std::optional<Value> before;
    std::optional<Value> current;
    std::optional<std::vector<Value>> changed;
    size_t index0 = 0;
    size_t depth0 = 0;
    bool exhausted = false;  // pull has given nothing
};

// Whether a dictionary can have this key. (Tuples of hashables, to a small depth.)
bool is_hashable(const Value& value, int depth = 0);
// A total order over hashable values in which 1, 1.0 and True are equal: not Python's order.
int order_keys(const Value& a, const Value& b);
// -1, 0, 1; exact for any pair. A NaN comes first and equals itself.
int order_numbers(const Value& a, const Value& b);

// Python's name of the type: "str", "NoneType", …
const char* type_name(const Value& value);
// As Jinja names a value in messages: "str object", "None".
std::string type_title(const Value& value);

// Python's repr() of a number. Shortest text that reads back the same.
std::string int_text(Whole value);
std::string float_text(double value);

}  // namespace weir::text::jinja
