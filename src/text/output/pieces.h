#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace weir::text {

// A text cut where tags begin and end, and at white space: "</a>\n<b c" is "</a>", "<b", "c". Two
// renders are compared piece by piece, so that no common part ends inside a tag.
class Pieces {
  public:
    explicit Pieces(std::string_view text);

    size_t size() const { return pieces_.size(); }
    std::string_view operator[](size_t i) const { return pieces_[i]; }
    // Pieces [begin, end) with the white space between them, as in the text.
    std::string text(size_t begin, size_t end) const;

  private:
    std::string_view text_;  // borrowed
    std::vector<std::string_view> pieces_;
};

size_t common_prefix(const Pieces& a, const Pieces& b);
size_t common_suffix(const Pieces& a, const Pieces& b);

// What stands before and after the first place of a word; without one the whole text, and nothing.
std::string_view before(std::string_view text, std::string_view word);
std::string_view after(std::string_view text, std::string_view word);
// After its last place; without one the whole text.
std::string_view after_last(std::string_view text, std::string_view word);
// Between two words, the second looked for after the first.
std::optional<std::string_view> between(std::string_view text, std::string_view first,
                                        std::string_view second);

}  // namespace weir::text
