#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace weir::policy {

// A text in which some places say something else: those places, and what stands around them. The
// rest was looked at before, and a long text with few escapes need not be looked at twice.
class Edited {
  public:
    explicit Edited(std::string_view text) : text_(text) {}

    // The `bytes` bytes at `at` become `with`. In ascending order.
    void replace(size_t at, size_t bytes, std::string_view with) {
        keep_until(at);
        out_ += with;
        done_ = at + bytes;
        any_ = true;
    }

    // Empty if nothing was replaced.
    std::string take() {
        if (any_) {
            out_ += text_.substr(done_, kAround);
        }
        return std::move(out_);
    }

  private:
    void keep_until(size_t end) {
        const std::string_view same = text_.substr(done_, end - done_);
        const size_t around_begin = any_ ? kAround : 0;
        if (same.size() <= around_begin + kAround) {
            out_ += same;
            return;
        }
        out_ += same.substr(0, around_begin);
        out_ += " ~ left out ~ ";  // no value goes on across this
        out_ += same.substr(same.size() - kAround);
    }

    static constexpr size_t kAround = 192;  // the longest of what one finding needs

    std::string_view text_;
    std::string out_;
    size_t done_ = 0;
    bool any_ = false;
};

}  // namespace weir::policy
