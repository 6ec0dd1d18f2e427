#include "text/output/pieces.h"

#include <algorithm>

#include "text/output/marker.h"

namespace weir::text {

Pieces::Pieces(std::string_view text) : text_(text) {
    size_t begin = 0;
    const auto cut = [&](size_t end) {
        if (end > begin) {
            pieces_.push_back(text.substr(begin, end - begin));
        }
        begin = end;
    };
    for (size_t at = 0; at < text.size(); ++at) {
        const char c = text[at];
        if (is_space(c)) {
            cut(at);
            begin = at + 1;
        } else if (c == '<' || c == '[') {
            cut(at);
        } else if (c == '>' || c == ']') {
            cut(at + 1);
        }
    }
    cut(text.size());
}

std::string Pieces::text(size_t begin, size_t end) const {
    if (begin >= end) {
        return {};
    }
    const char* const first = pieces_[begin].data();
    const std::string_view last = pieces_[end - 1];
    return std::string(first, static_cast<size_t>(last.data() + last.size() - first));
}

size_t common_prefix(const Pieces& a, const Pieces& b) {
    const size_t most = std::min(a.size(), b.size());
    size_t count = 0;
    while (count < most && a[count] == b[count]) {
        ++count;
    }
    return count;
}

size_t common_suffix(const Pieces& a, const Pieces& b) {
    const size_t most = std::min(a.size(), b.size());
    size_t count = 0;
    while (count < most && a[a.size() - 1 - count] == b[b.size() - 1 - count]) {
        ++count;
    }
    return count;
}

std::string_view after_last(std::string_view text, std::string_view word) {
    const size_t at = word.empty() ? text.npos : text.rfind(word);
    return at == text.npos ? text : text.substr(at + word.size());
}

std::optional<std::string_view> between(std::string_view text, std::string_view first,
                                        std::string_view second) {
    const size_t begin = text.find(first);
    const size_t end = begin == text.npos ? text.npos : text.find(second, begin + first.size());
    if (end == text.npos) {
        return std::nullopt;
    }
    return text.substr(begin + first.size(), end - begin - first.size());
}

std::string_view before(std::string_view text, std::string_view word) {
    return text.substr(0, std::min(text.size(), text.find(word)));
}

std::string_view after(std::string_view text, std::string_view word) {
    const size_t at = text.find(word);
    return at == text.npos ? std::string_view() : text.substr(at + word.size());
}

}  // namespace weir::text
