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
    uint32_t node = kRoot;
    for (const char character : token.content) {
        const uint64_t edge = uint64_t{node} << 8 | static_cast<unsigned char>(character);
        const auto [found, added] = edges_.try_emplace(edge, static_cast<uint32_t>(nodes_.size()));
        if (added) {
            nodes_.emplace_back();
        }
        node = found->second;
    }
    if (nodes_[node].token == UINT32_MAX) {
        nodes_[node].token = static_cast<uint32_t>(tokens_.size());
        begins_[static_cast<unsigned char>(token.content.front())] = true;
        tokens_.push_back(std::move(token));
    }
    return {};
}

std::optional<uint32_t> AddedTokens::child(uint32_t node, unsigned char byte) const {
    const auto edge = edges_.find(uint64_t{node} << 8 | byte);
    return edge == edges_.end() ? std::nullopt : std::optional(edge->second);
}

std::optional<TokenId> AddedTokens::find(std::string_view content) const {
    uint32_t node = kRoot;
    for (const char character : content) {
        const auto next = child(node, static_cast<unsigned char>(character));
        if (!next) {
            return std::nullopt;
        }
        node = *next;
    }
    const uint32_t token = nodes_[node].token;
    return token == UINT32_MAX ? std::nullopt : std::optional(tokens_[token].id);
}

const AddedToken* AddedTokens::longest_at(std::string_view text, size_t at,
                                          size_t trusted_until) const {
    const AddedToken* longest = nullptr;
    uint32_t node = kRoot;
    for (size_t end = at; end < text.size(); ++end) {
        const auto next = child(node, static_cast<unsigned char>(text[end]));
        if (!next) {
            break;
        }
        node = *next;
        if (nodes_[node].token != UINT32_MAX) {
            const AddedToken& token = tokens_[nodes_[node].token];
            if (!token.guarded || end < trusted_until) {
                longest = &token;
            }
        }
    }
    return longest;
}

void AddedTokens::search(std::string_view text, TrustedRanges trusted,
                         std::vector<Match>& out) const {
    size_t taken = 0;  // the end of the last match
    size_t range = 0;
    for (size_t at = 0; at < text.size();) {
        if (!begins_[static_cast<unsigned char>(text[at])]) {
            ++at;
            continue;
        }
        while (range < trusted.size() && trusted[range].end <= at) {
            ++range;
        }
        const bool is_trusted = range < trusted.size() && trusted[range].begin <= at;
        const AddedToken* token = longest_at(text, at, is_trusted ? trusted[range].end : 0);
        if (token == nullptr) {
            ++at;
            continue;
        }
        size_t end = at + token->content.size();
        if (token->single_word && !stands_alone(text, at, end)) {
            at = end;
            continue;
        }
        const size_t begin = token->lstrip ? spaces_before(text, at, taken) : at;
        if (token->rstrip) {
            end = ClassedText(text).run(end, kSpace);
        }
        out.push_back({begin, end, token->id});
        taken = end;
        // The spaces that rstrip takes along are searched, too: another token may stand in them.
        at += token->content.size();
    }
}

}  // namespace weir::text
