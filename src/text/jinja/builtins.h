#pragma once

#include <span>
#include <string>
#include <string_view>

#include "text/jinja/runtime.h"

namespace weir::text::jinja {

// The engine's own filters, tests, methods and globals: tables of names and functions. Nothing
// here opens a file, reads the environment or reaches into the process, so there is nothing to
// escape to.
//
// Threads: immutable.

using FilterFunction = Outcome<Value> (*)(Runtime& rt, const Value& input, const Args& args);
using TestFunction = Outcome<bool> (*)(Runtime& rt, const Value& input, const Args& args);

struct Filter {
    std::string_view name;
    FilterFunction call;
};

struct Test {
    std::string_view name;
    TestFunction call;
};

const Filter* find_filter(std::string_view name, Mode mode);  // nullptr: there is none
const Test* find_test(std::string_view name);

// The parts of the filter table, one a source file.
std::span<const Filter> text_filters();
std::span<const Filter> number_filters();
std::span<const Filter> sequence_filters();
std::span<const Filter> selection_filters();
std::span<const Filter> json_filters();
std::span<const Filter> lenient_filters();  // in Mode::Lenient only

const Native* find_text_method(std::string_view name);
const Native* find_list_method(std::string_view name);
const Native* find_tuple_method(std::string_view name);
const Native* find_dict_method(std::string_view name);
const Native* find_cycler_method(std::string_view name);
const Native* find_global(std::string_view name);

// `loop.name`; nothing if a loop has no such thing.
Outcome<std::optional<Value>> loop_attribute(Runtime& rt, const Value& loop, std::string_view name);

// A macro's name, arguments and the like.
std::optional<Value> macro_attribute(Runtime& rt, const Value& macro, std::string_view name);

// `text % values` and `text.format(…)`.
Outcome<Value> format_percent(Runtime& rt, const Value& format, const Value& values);
Outcome<Value> format_braces(Runtime& rt, const Value& format, const Args& args);

// HTML-escapes what is not markup already; the result is markup.
Outcome<Value> escape_html(Runtime& rt, const Value& value);

// str.replace: every (or the first `times`) `from` by `to`.
Outcome<Value> replace_text(Runtime& rt, const Value& text, const Value& from, const Value& to,
                            std::optional<Whole> times);
// str.join.
Outcome<Value> join_text(Runtime& rt, const Value& separator, const std::vector<Value>& items);
// str.upper and so on, character by character: each keeps its source's mark.
enum class CaseMap : uint8_t { Upper, Lower, Capitalize, Title, Swap };
Outcome<Value> map_case(Runtime& rt, const Value& text, CaseMap map);
// str.strip: the range of bytes that stays. `characters` absent: white space.
enum class Side : uint8_t { Left, Right, Both };
std::pair<size_t, size_t> strip_range(std::string_view text, Side side,
                                      std::optional<std::string_view> characters);
bool is_space(char32_t code_point);  // as str.isspace() sees it
bool is_printable(char32_t code_point);
char32_t to_upper(char32_t code_point);

struct JsonStyle {
    std::optional<std::string> indent;
    std::string item_separator = ", ";
    std::string key_separator = ": ";
    bool ascii = false;
    bool sort_keys = false;
};
Outcome<Value> dump_json(Runtime& rt, const Value& value, const JsonStyle& style);

// datetime.strftime in the C locale.
std::string format_time(std::chrono::local_seconds time, std::string_view format);

// Arguments bound to parameter names, as Python would: too many, twice, unknown or missing ones
// are errors.
class Bound {
  public:
    static Outcome<Bound> bind(std::string_view function, const Args& args,
                               std::initializer_list<std::string_view> parameters,
                               size_t required = 0);

    bool has(size_t i) const { return values_[i].has_value(); }
    const Value& operator[](size_t i) const { return *values_[i]; }
    Value get(size_t i, const Value& otherwise) const { return values_[i].value_or(otherwise); }
    bool flag(size_t i, bool otherwise) const;

    // Typed readers; the parameter's name goes into the error.
    Outcome<Whole> integer(size_t i, Whole otherwise) const;
    Outcome<Value> str(Runtime& rt, size_t i, std::string_view otherwise) const;

  private:
    std::string_view function_;
    std::vector<std::optional<Value>> values_;
};

}  // namespace weir::text::jinja
