#include "policy/unwrap.h"

namespace weir::policy {

Unwrapped unwrap(std::string_view text) {
    Unwrapped out;
    unwrap_bases(text, out);
    unwrap_code_lists(text, out);
    unwrap_escapes(text, out);
    if (out.plain.empty()) {  // else layout is taken off what has no escapes left
        unwrap_markup(text, out);
    }
    unwrap_spelled(text, out);
    return out;
}

}  // namespace weir::policy
