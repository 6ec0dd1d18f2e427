#include <algorithm>

#include "base/utf8.h"
#include "policy/fold.h"
#include "policy/unwrap.h"

namespace weir::policy {
namespace {

// So many characters in a row that draw nothing are no accident of typography: flags, joined emoji
// and selectors have fewer.
constexpr size_t kInvisibleRunMax = 16;

constexpr char32_t kTagFirst = 0xE0020;  // TAG SPACE; each tag stands for the ASCII character below
constexpr char32_t kTagLast = 0xE007E;
constexpr char32_t kTagBase = 0xE0000;

// Variation selectors 17 to 256, by which bytes are smuggled behind an emoji; the first sixteen
// would be control characters, and stand behind most emoji anyway.
constexpr char32_t kSelectorFirst = 0xE0100;
constexpr char32_t kSelectorLast = 0xE01EF;
constexpr char32_t kSelectorByteFirst = 16;

constexpr char32_t kRightToLeftOverride = 0x202E;
constexpr std::string_view kOverrideBytes = "\u202E";
constexpr char32_t kPopDirection = 0x202C;

// What invisible characters say.
class Whisper {
  public:
    void take(char32_t c) {
        if (c >= kTagFirst && c <= kTagLast) {
            text_.push_back(static_cast<char>(c - kTagBase));
        } else if (c >= kSelectorFirst && c <= kSelectorLast) {
            const char32_t byte = c - kSelectorFirst + kSelectorByteFirst;
            if (byte >= 0x20) {
                text_.push_back(static_cast<char>(byte));
            }
        }
        run_ = is_invisible(c) ? run_ + 1 : 0;
        longest_run_ = std::max(longest_run_, run_);
    }
    void take_visible() { run_ = 0; }
    bool is_long() const { return longest_run_ >= kInvisibleRunMax; }
    std::string text() const { return utf8::to_valid(text_); }

  private:
    std::string text_;
    size_t run_ = 0;
    size_t longest_run_ = 0;
};

// The text as it is drawn where an override turns a stretch of it round.
class Turned {
  public:
    void take(char32_t c) {
        if (c == kRightToLeftOverride && !turning_) {
            turning_ = true;
            any_ = true;
            return;
        }
        if (turning_ && c != kPopDirection && c != U'\n') {
            stretch_.push_back(c);
            return;
        }
        end_stretch();
        utf8::append(text_, c);
    }
    // Empty if nothing was turned.
    std::string text() {
        end_stretch();
        return any_ ? text_ : std::string();
    }

  private:
    void end_stretch() {
        for (size_t i = stretch_.size(); i > 0; --i) {
            utf8::append(text_, stretch_[i - 1]);
        }
        stretch_.clear();
        turning_ = false;
    }

    std::string text_;
    std::u32string stretch_;
    bool turning_ = false;
    bool any_ = false;
};

}  // namespace

Unwrapped unhide(std::string_view text) {
    Unwrapped out;
    const auto beyond_ascii = [](char c) {
        return static_cast<unsigned char>(c) >= 0x80;
    };
    if (std::none_of(text.begin(), text.end(), beyond_ascii)) {
        return out;
    }
    Whisper whisper;
    for (size_t at = 0; at < text.size();) {
        if (static_cast<unsigned char>(text[at]) < 0x80) {
            whisper.take_visible();
            ++at;
            continue;
        }
        const utf8::Decoded next = utf8::decode(text, at);
        at += next.bytes;
        whisper.take(next.code_point);
    }
    Turned turned;
    for (size_t at = text.find(kOverrideBytes) == std::string_view::npos ? text.size() : 0;
         at < text.size();) {
        const utf8::Decoded next = utf8::decode(text, at);
        at += next.bytes;
        turned.take(next.code_point);
    }
    for (std::string said : {whisper.text(), turned.text()}) {
        if (!said.empty()) {
            out.texts.push_back(std::move(said));
        }
    }
    out.unreadable = whisper.is_long();
    return out;
}

}  // namespace weir::policy
