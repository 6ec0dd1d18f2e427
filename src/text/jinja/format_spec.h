#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/jinja/outcome.h"
#include "text/jinja/runtime.h"
#include "text/jinja/value.h"

// What `text % values` and `text.format(…)` have in common: one conversion, and writing a value by
// it. What stands in the format keeps its marks, a text that is put in keeps its own, numbers and
// padding are data.
namespace weir::text::jinja {

inline constexpr Whole kFormatWidthMax = Whole{1} << 30;

// One conversion, as either notation describes it.
struct FormatSpec {
    std::string fill = " ";
    char align = 0;  // < > ^ =, or 0: the type's own
    char sign = '-';
    bool alternate = false;
    char group = 0;
    size_t width = 0;
    std::optional<int> precision;
    char type = 0;
};

// Text padded to its width. `sign_bytes`: zeros and '=' padding go after this many bytes.
Outcome<void> append_padded(const MarkedText& text, const FormatSpec& spec, char default_align,
                            size_t sign_bytes, TextBuilder& out);
Outcome<void> append_formatted_number(const Value& value, const FormatSpec& spec, TextBuilder& out);
Outcome<void> append_formatted_text(Runtime& rt, const Value& text, const FormatSpec& spec,
                                    char default_align, TextBuilder& out);
Outcome<Value> repr_of(Runtime& rt, const Value& value);

// Reads digits; what does not fit is far more than any limit.
std::optional<Whole> take_format_number(std::string_view text, size_t& at);

}  // namespace weir::text::jinja
