#include "text/output/marker.h"

#include <algorithm>

namespace weir::text {

std::string_view trim(std::string_view text) {
    while (!text.empty() && is_space(text.front())) {
        text.remove_prefix(1);
    }
    while (!text.empty() && is_space(text.back())) {
        text.remove_suffix(1);
    }
    return text;
}

Marker::Marker(std::string_view text, std::string_view ahead) {
    const std::string_view inner = trim(text);
    if (inner.empty() && !text.empty()) {
        pieces_.push_back({std::string(text), false});
    } else {
        append(inner, false);
    }
    consumed_pieces_ = pieces_.size();
    append(trim(ahead), true);
}

Marker Marker::after_line_feed(std::string_view text, std::string_view ahead) {
    Marker marker(text, ahead);
    if (!marker.empty()) {
        marker.pieces_.front().text.insert(0, "\n");
    }
    return marker;
}

void Marker::append(std::string_view text, bool gap_first) {
    bool gap = gap_first;
    size_t at = 0;
    while (at < text.size()) {
        size_t end = at;
        while (end < text.size() && !is_space(text[end])) {
            ++end;
        }
        pieces_.push_back({std::string(text.substr(at, end - at)), gap});
        while (end < text.size() && is_space(text[end])) {
            ++end;
        }
        gap = true;
        at = end;
    }
}

std::string Marker::text() const {
    std::string all;
    for (const Piece& piece : pieces_) {
        all += (piece.gap_before ? " " : "") + piece.text;
    }
    return all;
}

Marker::Match Marker::match(std::string_view text) const {
    Match match;
    size_t at = 0;
    for (size_t i = 0; i < pieces_.size(); ++i) {
        const Piece& piece = pieces_[i];
        if (i == consumed_pieces_) {
            match.consumed = at;
            match.consumed_whole = true;
        }
        if (piece.gap_before) {
            const size_t gap_end = std::min(text.size(), at + kGapBytesMax);
            while (at < gap_end && is_space(text[at])) {
                ++at;
            }
        }
        const std::string_view rest = text.substr(at, piece.text.size());
        if (!std::string_view(piece.text).starts_with(rest)) {
            return {};
        }
        if (rest.size() < piece.text.size()) {
            match.state = State::Partial;
            return match;
        }
        at += piece.text.size();
    }
    if (pieces_.empty()) {
        return {};
    }
    if (consumed_pieces_ == pieces_.size()) {
        match.consumed = at;
    }
    match.matched = at;
    match.state = State::Yes;
    return match;
}

}  // namespace weir::text
