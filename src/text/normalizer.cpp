#include "text/normalizer.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/normalize.h"
#include "text/unicode.h"

namespace weir::text {
namespace {

std::string lowercase(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size();) {
        const utf8::Decoded next = utf8::decode(text, at);
        if (!next.valid) {
            out.append(text.substr(at, next.bytes));
        } else if (next.code_point == 0x130) {
            out += "i\xCC\x87";  // the one character whose full lower case is two
        } else {
            utf8::append(out, to_lower(next.code_point));
        }
        at += next.bytes;
    }
    return out;
}

std::string replace(std::string_view text, std::string_view from, std::string_view to) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0;;) {
        const size_t found = text.find(from, at);
        out.append(text.substr(at, found - at));
        if (found == std::string_view::npos) {
            return out;
        }
        out.append(to);
        at = found + from.size();
    }
}

std::string squeeze(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (const char character : text) {
        if (character != ' ' || (!out.empty() && out.back() != ' ')) {
            out.push_back(character);
        }
    }
    if (!out.empty() && out.back() == ' ') {
        out.pop_back();
    }
    return out;
}

}  // namespace

bool Normalizer::replaces(std::string_view pattern) const {
    return std::any_of(steps_.begin(), steps_.end(), [&](const Step& step) {
        return step.kind == Kind::Replace && step.from == pattern &&
               step.to.find(pattern) == std::string::npos;
    });
}

std::string Normalizer::apply(std::string_view text, Place place) const {
    std::string out(text);
    for (const Step& step : steps_) {
        if (out.empty()) {
            return out;
        }
        switch (step.kind) {
            case Kind::Nfc:
                if (!is_surely_nfc(out)) {
                    out = to_nfc(out);
                }
                break;
            case Kind::Nfd:
                out = to_nfd(out);
                break;
            case Kind::Lowercase:
                out = lowercase(out);
                break;
            case Kind::Prepend:
                if (place != Place::Inside) {
                    out.insert(0, step.to);
                }
                break;
            case Kind::PrependIfMissing:
                if (!out.starts_with(step.to) && place != Place::Inside &&
                    (place == Place::TextStart || !step.first_only)) {
                    out.insert(0, step.to);
                }
                break;
            case Kind::Replace:
                out = replace(out, step.from, step.to);
                break;
            case Kind::Squeeze:
                out = squeeze(out);
                break;
        }
    }
    return out;
}

}  // namespace weir::text
