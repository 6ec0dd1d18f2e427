#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace weir::net {

// The one form of a request path that may be authorised and routed (HT13), from the path of a
// request line (before the '?'). Refused instead of repaired: `//`, `.` and `..` segments in any
// spelling, an encoded slash, backslash, percent sign or control character, bad or overlong
// escapes, bytes outside ASCII, a path that does not begin with '/'. Escapes of other characters
// are decoded, once; the result is valid UTF-8.
Result<std::string> normalise_path(std::string_view raw);

}  // namespace weir::net
