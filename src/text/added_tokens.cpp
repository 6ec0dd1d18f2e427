#include "text/added_tokens.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/scan.h"

namespace weir::text {
namespace {

// Where the last character before `at` begins (at > 0).
size_t before(std::string_view text, size_t at) {
    size_t begin = at - 1;
    while (begin > 0 && at - begin < 4 &&
           (static_cast<unsigned char>(text[begin]) & 0xC0) == 0x80) {
        --begin;
    }
    return utf8::decode(text, begin).bytes == at - begin ? begin : at - 1;
}

bool stands_alone(std::string_view text, size_t begin, size_t end) {
    const ClassedText classed(text);
    return (begin == 0 || !is_word_character(classed.at(before(text, begin)))) &&
           (end == text.size() || !is_word_character(classed.at(end)));
}

size_t spaces_before(std::string_view text, size_t at, size_t floor) {
    const ClassedText classed(text);
    while (at > floor) {
        const size_t begin = before(text, at);
        if (begin < floor || !classed.at(begin).is(kSpace)) {
            break;
        }
        at = begin;
    }
    return at;
}

}  // namespace

bool looks_like_markup(std::string_view content) {
    return content.find_first_of("<>[]{}|") != std::string_view::npos ||
           content.find("\xEF\xBD\x9C") != std::string_view::npos;  // U+FF5C, DeepSeek's bar
}

Result<void> AddedTokens::add(AddedToken token) {
    if (token.content.empty()) {
        return {};
    }
    bytes_ += token.content.size();
    if (bytes_ > kBytesMax) {
        return data_corrupt("the names of added tokens have more than {} bytes", kBytesMax);
    }
    if (by_content_.insert(token.content, static_cast<uint32_t>(tokens_.size()))) {
        tokens_.push_back(std::move(token));
    }
    return {};
}

void AddedTokens::finish() {
    for (const bool guarded : {false, true}) {
        std::vector<std::string_view> names;
        std::vector<uint32_t> numbers;
        for (size_t i = 0; i < tokens_.size(); ++i) {
            if (tokens_[i].guarded == guarded) {
                names.push_back(tokens_[i].content);
                numbers.push_back(static_cast<uint32_t>(i));
            }
        }
        (guarded ? guarded_ : anywhere_) = NameFinder(names, numbers);
    }
}

std::optional<TokenId> AddedTokens::find(std::string_view content) const {
    const uint32_t token = by_content_.find(content);
    return token == TextIndex::kNone ? std::nullopt : std::optional(tokens_[token].id);
}

// A window of the text, and where tokens begin in it.
struct AddedTokens::Place {
    size_t begin = 0;
    size_t end = 0;
    size_t range = 0;  // the first trusted one that ends behind `begin`
    std::vector<NameFinder::Found> found;
};

// In the order of their beginnings, the longer one first where two kinds begin together.
void AddedTokens::find_places(std::string_view text, TrustedRanges trusted, Place& place) const {
    const auto limit = [&](const NameFinder& finder, size_t end) {
        return place.end + std::min(end - place.end, finder.longest());
    };
    place.found.clear();
    if (!anywhere_.empty()) {
        anywhere_.find(text, place.begin, place.end, limit(anywhere_, text.size()), place.found);
    }
    while (place.range < trusted.size() && trusted[place.range].end <= place.begin) {
        ++place.range;
    }
    for (size_t i = place.range; !guarded_.empty() && i < trusted.size(); ++i) {
        const auto [begin, end] = trusted[i];
        if (begin >= place.end) {
            break;
        }
        guarded_.find(text, std::max(begin, place.begin), std::min(end, place.end),
                      end <= place.end ? end : limit(guarded_, end), place.found);
    }
    std::ranges::sort(place.found, [this](const auto& a, const auto& b) {
        return a.begin != b.begin ? a.begin < b.begin
                                  : tokens_[a.name].content.size() > tokens_[b.name].content.size();
    });
}

// What was found so far.
struct AddedTokens::Progress {
    size_t taken = 0;           // the end of the last match
    size_t next = 0;            // where the next token may begin
    TrustedRange spaces{0, 0};  // the last that rstrip has looked at, so that a run is read once

    size_t spaces_behind(std::string_view text, size_t at) {
        if (at < spaces.begin || at > spaces.end) {
            spaces = {at, ClassedText(text).run(at, kSpace)};
        }
        return spaces.end;
    }
};

// The spaces that rstrip takes along are searched, too: another token may stand in them, though one
// that takes the spaces before it along has none of its own left then. So says the reference.
void AddedTokens::take(std::string_view text, const NameFinder::Found& found, Progress& progress,
                       std::vector<Match>& out) const {
    const AddedToken& token = tokens_[found.name];
    const size_t content_end = found.begin + token.content.size();
    progress.next = content_end;
    if (token.single_word && !stands_alone(text, found.begin, content_end)) {
        return;
    }
    const size_t begin =
        token.lstrip ? std::max(spaces_before(text, found.begin, progress.taken), progress.taken)
                     : found.begin;
    const size_t end = token.rstrip ? progress.spaces_behind(text, content_end) : content_end;
    if (begin < end) {
        out.push_back({begin, end, token.id});
        progress.taken = end;
    }
}

void AddedTokens::search(std::string_view text, TrustedRanges trusted,
                         std::vector<Match>& out) const {
    constexpr size_t kWindowBytesMin = size_t{1} << 16;
    if (anywhere_.empty() && (guarded_.empty() || trusted.empty())) {
        return;
    }
    // What is looked at twice, behind the end of a window, is a small part of it.
    const size_t window =
        std::max(kWindowBytesMin, 4 * std::max(anywhere_.longest(), guarded_.longest()));
    Place place;
    Progress progress;
    for (; place.begin < text.size(); place.begin = place.end) {
        place.end = place.begin + std::min(window, text.size() - place.begin);
        find_places(text, trusted, place);
        for (const NameFinder::Found& found : place.found) {
            if (found.begin >= progress.next) {
                take(text, found, progress, out);
            }
        }
    }
}

}  // namespace weir::text
