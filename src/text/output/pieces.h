#pragma once

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

}  // namespace weir::text
