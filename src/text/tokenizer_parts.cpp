#include "text/tokenizer_parts.h"

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "base/utf8.h"

namespace weir::text {
namespace {

std::optional<uint8_t> hex_digit(char character) {
    if (character >= '0' && character <= '9') {
        return static_cast<uint8_t>(character - '0');
    }
    if (character >= 'A' && character <= 'F') {
        return static_cast<uint8_t>(character - 'A' + 10);
    }
    if (character >= 'a' && character <= 'f') {
        return static_cast<uint8_t>(character - 'a' + 10);
    }
    return std::nullopt;
}

// Names under which models end a turn or a text, where their files do not say so.
constexpr std::string_view kEndNames[] = {
    "<|eot_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|return|>",
    "<|call|>",
    "<end_of_turn>",
    "<|endoftext|>",
    "<|eom_id|>",
    "<EOT>",
    "_<EOT>",
    "<|end_of_text|>",
    "<end_of_utterance>",
    "<eos>",
    "</s>",
    "<|END_OF_TURN_TOKEN|>",
    "<\xEF\xBD\x9C"
    "end\xE2\x96\x81of\xE2\x96\x81sentence\xEF\xBD\x9C>",
};

// Looking up the two halves of a token at every place costs its length squared; across a
// vocabulary of ordinary tokens this is a few MiB.
constexpr uint64_t kSplitBytesMax = uint64_t{1} << 30;

}  // namespace

std::optional<uint8_t> byte_of_name(std::string_view token) {
    if (token.size() != 6 || !token.starts_with("<0x") || token.back() != '>') {
        return std::nullopt;
    }
    const auto high = hex_digit(token[3]);
    const auto low = hex_digit(token[4]);
    if (!high || !low) {
        return std::nullopt;
    }
    return static_cast<uint8_t>(*high << 4 | *low);
}

std::string spaces_of_metaspace(std::string_view token) {
    std::string out;
    for (size_t at = 0; at < token.size();) {
        if (token.substr(at).starts_with(kMetaspace)) {
            out.push_back(' ');
            at += kMetaspace.size();
        } else {
            out.push_back(token[at++]);
        }
    }
    return out;
}

Result<void> TokenList::add(std::string_view bytes, TokenId id) {
    Waiting& token = waiting_[count_++];
    token.bytes.assign(bytes);
    token.key = TextIndex::key_of(bytes);
    token.id = id;
    bpe_.prefetch_symbol(token.key);
    return count_ == waiting_.size() ? finish() : Result<void>();
}

Result<void> TokenList::finish() {
    for (const Waiting& token : std::span(waiting_).first(std::exchange(count_, 0))) {
        WEIR_TRY(bpe_.add_token(token.bytes, token.key, token.id));
    }
    return {};
}

Result<void> MergeList::add(std::string_view left, std::string_view right, size_t rank) {
    Waiting& merge = waiting_[count_++];
    merge.joined.assign(left).append(right);
    merge.left_bytes = left.size();
    merge.rank = rank;
    for (size_t i = 0; i < std::size(merge.keys); ++i) {
        merge.keys[i] = TextIndex::key_of(merge.text(i));
        bpe_.prefetch_symbol(merge.keys[i]);
    }
    return count_ == waiting_.size() ? finish() : Result<void>();
}

Result<void> MergeList::finish() {
    const auto waiting = std::span(waiting_).first(std::exchange(count_, 0));
    for (Waiting& merge : waiting) {
        for (size_t i = 0; i < std::size(merge.keys); ++i) {
            merge.symbols[i] = bpe_.find_symbol(merge.text(i), merge.keys[i]);
            if (merge.symbols[i] == TextIndex::kNone) {
                return data_corrupt("{}[{}] names a token that is not in {}", names_.merges,
                                    merge.rank, names_.vocabulary);
            }
        }
        bpe_.prefetch_merge(merge.symbols[0], merge.symbols[1]);
    }
    for (const Waiting& merge : waiting) {
        bpe_.add_merge(merge.symbols[0], merge.symbols[1],
                       {static_cast<uint32_t>(merge.rank), merge.symbols[2]});
    }
    return {};
}

Result<void> add_scored_merges(Bpe& bpe, std::span<const std::string_view> texts,
                               std::span<const float> scores, const std::vector<bool>& mergeable) {
    uint64_t split_bytes = 0;
    std::map<float, uint32_t, std::greater<>> ranks;  // equal scores are equal ranks
    for (size_t id = 0; id < texts.size(); ++id) {
        if (mergeable[id]) {
            split_bytes += uint64_t{texts[id].size()} * texts[id].size();
            ranks.emplace(scores[id], 0);
        }
    }
    if (split_bytes > kSplitBytesMax) {
        return fail(ErrorCode::TooLarge, "the vocabulary's tokens are too long to merge");
    }
    uint32_t rank = 0;
    for (auto& entry : ranks) {
        entry.second = rank++;
    }
    for (size_t id = 0; id < texts.size(); ++id) {
        if (!mergeable[id]) {
            continue;
        }
        const std::string_view text = texts[id];
        const size_t first_bytes = utf8::decode(text, 0).bytes;
        const Merge merge{ranks[scores[id]], static_cast<uint32_t>(id)};
        for (size_t at = first_bytes; at < text.size();) {
            const size_t character = utf8::decode(text, at).bytes;
            const auto half = [&](std::string_view part, bool is_character) {
                const uint32_t known = bpe.find_symbol(part);
                return known != TextIndex::kNone || !is_character ? known : bpe.symbol_of(part);
            };
            const uint32_t left = half(text.substr(0, at), at == first_bytes);
            const uint32_t right = half(text.substr(at), at + character == text.size());
            if (left != TextIndex::kNone && right != TextIndex::kNone) {
                bpe.add_merge(left, right, merge);
            }
            at += character;
        }
    }
    return {};
}

Error as_corrupt(Error error, std::string_view file) {
    if (error.code == ErrorCode::InvalidArgument) {
        error.code = ErrorCode::DataCorrupt;
    }
    return std::move(error).with_context(file);
}

void complete_end_of_generation(Tokenizer::Parts& parts) {
    auto& ends = parts.end_of_generation;
    for (const auto& id : {parts.eos, parts.eot}) {
        if (id) {
            ends.push_back(*id);
        }
    }
    // In the harmony format <|end|> only ends a message, and the model goes on with the next one.
    const bool harmony = parts.added.find("<|return|>") && parts.added.find("<|call|>");
    for (const std::string_view name : kEndNames) {
        if (harmony && name == "<|end|>") {
            continue;
        }
        for (const AddedTokens* added : {&parts.added, &parts.added_normalized}) {
            const auto id = added->find(name);
            if (id && *id < parts.tokens.size() && parts.tokens[*id].control) {
                ends.push_back(*id);
            }
        }
    }
    std::ranges::sort(ends);
    const auto repeated = std::ranges::unique(ends);
    ends.erase(repeated.begin(), repeated.end());
}

}  // namespace weir::text
