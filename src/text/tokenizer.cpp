#include "text/tokenizer.h"

#include <algorithm>
#include <utility>

#include "text/parallel_encode.h"
#include "text/tokenizer_parts.h"

namespace weir::text {
namespace {

// The part of `ranges` that lies in [begin, end), counted from `begin`. `from` is where the last
// call stopped; calls go forward.
std::vector<TrustedRange> clip(TrustedRanges ranges, size_t begin, size_t end, size_t& from) {
    std::vector<TrustedRange> clipped;
    while (from < ranges.size() && ranges[from].end <= begin) {
        ++from;
    }
    for (size_t i = from; i < ranges.size() && ranges[i].begin < end; ++i) {
        clipped.push_back(
            {std::max(ranges[i].begin, begin) - begin, std::min(ranges[i].end, end) - begin});
    }
    return clipped;
}

Normalizer::Place place_of(size_t begin) {
    return begin == 0 ? Normalizer::Place::TextStart : Normalizer::Place::StretchStart;
}

// What is cut is encoded before its pieces leave the core's own cache.
constexpr size_t kPiecesAtOnce = 1024;

bool covers(TrustedRanges ranges, size_t size) {
    return ranges.size() == 1 && ranges[0].begin == 0 && ranges[0].end == size;
}

}  // namespace

struct Tokenizer::Impl {
    explicit Impl(Parts whole) : parts(std::move(whole)) {}

    // One call of encode: the text, who wrote it, and what has come out so far.
    struct Run {
        TrustedRanges trusted;
        std::vector<TokenId> ids;
        EncodeScratch scratch;
        PreTokenized pieces;
        unsigned threads_max = 1;
    };

    Result<void> encode_text(std::string_view text, Run& run) const;
    Result<void> encode_stretch(std::string_view text, Normalizer::Place place,
                                TrustedRanges trusted, Run& run) const;
    Result<void> encode_normalized(std::string_view text, Normalizer::Place place, Run& run) const;
    std::vector<TrustedRange> trusted_after_normalizing(std::string_view before,
                                                        Normalizer::Place place,
                                                        TrustedRanges trusted,
                                                        std::string_view after) const;

    Parts parts;
};

Tokenizer::Tokenizer(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Result<Tokenizer> Tokenizer::from_parts(Parts parts) {
    complete_end_of_generation(parts);
    parts.added.finish();
    parts.added_normalized.finish();
    return Tokenizer(std::make_unique<const Impl>(std::move(parts)));
}

// Added tokens first: they cut the text into stretches that know nothing of each other.
Result<void> Tokenizer::Impl::encode_text(std::string_view text, Run& run) const {
    std::vector<AddedTokens::Match> matches;
    if (!parts.added.empty()) {
        parts.added.search(text, run.trusted, matches);
    }
    size_t begin = 0;
    size_t range = 0;
    for (const AddedTokens::Match& match : matches) {
        if (match.begin > begin) {
            WEIR_TRY(encode_stretch(text.substr(begin, match.begin - begin), place_of(begin),
                                    clip(run.trusted, begin, match.begin, range), run));
        }
        run.ids.push_back(match.id);
        begin = match.end;  // may be before what rstrip took
    }
    return encode_stretch(text.substr(begin), place_of(begin),
                          clip(run.trusted, begin, text.size(), range), run);
}

Result<void> Tokenizer::Impl::encode_stretch(std::string_view text, Normalizer::Place place,
                                             TrustedRanges trusted, Run& run) const {
    if (text.empty()) {
        return {};
    }
    if (parts.normalizer.empty() && parts.added_normalized.empty()) {
        return encode_normalized(text, place, run);
    }
    const std::string normal = parts.normalizer.apply(text, place);
    if (parts.added_normalized.empty()) {
        return encode_normalized(normal, place, run);
    }
    const std::vector<TrustedRange> ranges =
        trusted_after_normalizing(text, place, trusted, normal);
    std::vector<AddedTokens::Match> matches;
    parts.added_normalized.search(normal, ranges, matches);
    size_t begin = 0;
    for (const AddedTokens::Match& match : matches) {
        if (match.begin > begin) {
            WEIR_TRY(encode_normalized(std::string_view(normal).substr(begin, match.begin - begin),
                                       begin == 0 ? place : Normalizer::Place::StretchStart, run));
        }
        run.ids.push_back(match.id);
        begin = match.end;  // may be before what rstrip took
    }
    return encode_normalized(std::string_view(normal).substr(begin),
                             begin == 0 ? place : Normalizer::Place::StretchStart, run);
}

// Where the trusted bytes of a stretch are once it is normalised. Found by normalising each run of
// one trust alone; where that gives another text (something composed across the border), nothing is
// trusted, which costs a control token and gives none away.
std::vector<TrustedRange> Tokenizer::Impl::trusted_after_normalizing(std::string_view before,
                                                                     Normalizer::Place place,
                                                                     TrustedRanges trusted,
                                                                     std::string_view after) const {
    if (trusted.empty() || covers(trusted, before.size())) {
        return trusted.empty() ? std::vector<TrustedRange>{}
                               : std::vector<TrustedRange>{{0, after.size()}};
    }
    std::vector<TrustedRange> ranges;
    std::string joined;
    size_t at = 0;
    const auto append = [&](size_t end, bool is_trusted) {
        if (end == at) {
            return;
        }
        const size_t begin = joined.size();
        joined += parts.normalizer.apply(before.substr(at, end - at),
                                         at == 0 ? place : Normalizer::Place::Inside);
        if (is_trusted) {
            ranges.push_back({begin, joined.size()});
        }
        at = end;
    };
    for (const TrustedRange& range : trusted) {
        append(range.begin, false);
        append(range.end, true);
    }
    append(before.size(), false);
    return joined == after ? ranges : std::vector<TrustedRange>{};
}

Result<void> Tokenizer::Impl::encode_normalized(std::string_view text, Normalizer::Place place,
                                                Run& run) const {
    if (text.size() > kTextBytesMax) {
        return fail(ErrorCode::TooLarge, "the normalised text has {} bytes", text.size());
    }
    const bool at_start = place == Normalizer::Place::TextStart;
    const bool parallel = run.threads_max > 1 && text.size() >= kParallelBytesMin;
    if (parts.pre_tokenizer.cuts_in_one_pass() && !parallel) {
        for (size_t at = 0; at < text.size();) {
            run.pieces.pieces.clear();
            at = parts.pre_tokenizer.split_on(text, at, kPiecesAtOnce, run.pieces.pieces);
            WEIR_TRY(parts.model->encode(text, run.pieces.pieces, run.ids, run.scratch));
        }
        return {};
    }
    WEIR_TRY(parts.pre_tokenizer.split(text, at_start, run.pieces));
    if (parallel) {
        return encode_in_parallel(*parts.model, run.pieces.text, run.pieces.pieces, run.threads_max,
                                  run.ids);
    }
    return parts.model->encode(run.pieces.text, run.pieces.pieces, run.ids, run.scratch);
}

Result<std::vector<TokenId>> Tokenizer::encode(std::string_view text,
                                               const EncodeOptions& options) const {
    const Segment segment{text, options.parse_special};
    return encode_segments({&segment, 1}, options);
}

Result<std::vector<TokenId>> Tokenizer::encode_segments(std::span<const Segment> segments,
                                                        const EncodeOptions& options) const {
    std::string joined;
    std::vector<TrustedRange> trusted;
    size_t size = 0;
    for (const Segment& segment : segments) {
        if (segment.text.size() > kTextBytesMax - size) {
            return fail(ErrorCode::TooLarge, "a text may have {} bytes", kTextBytesMax);
        }
        if (segment.trusted && !segment.text.empty()) {
            if (!trusted.empty() && trusted.back().end == size) {
                trusted.back().end += segment.text.size();
            } else {
                trusted.push_back({size, size + segment.text.size()});
            }
        }
        size += segment.text.size();
        if (segments.size() > 1) {
            joined += segment.text;
        }
    }
    const std::string_view text = segments.size() == 1 ? segments[0].text : joined;

    Impl::Run run;
    run.trusted = trusted;
    run.threads_max = options.threads_max;
    run.ids.reserve(text.size() / 4 + 8);
    if (options.add_special) {
        run.ids = impl_->parts.prefix;
    }
    WEIR_TRY(impl_->encode_text(text, run));
    if (options.add_special) {
        const auto& suffix = impl_->parts.suffix;
        run.ids.insert(run.ids.end(), suffix.begin(), suffix.end());
    }
    return std::move(run.ids);
}

Result<std::string> Tokenizer::decode(std::span<const TokenId> ids,
                                      const DecodeOptions& options) const {
    const Parts& parts = impl_->parts;
    std::string text;
    bool begins = !options.continues;
    for (const TokenId id : ids) {
        if (id >= parts.tokens.size()) {
            return invalid_argument("ids", "token {} is not in the vocabulary of {}", id,
                                    parts.tokens.size());
        }
        if (!options.skip_special || !parts.tokens[id].control) {
            text += begins ? opening_bytes(id) : decoded_bytes(id);
            begins = false;
        }
    }
    return text;
}

size_t Tokenizer::vocab_size() const {
    return impl_->parts.tokens.size();
}

std::string_view Tokenizer::token_bytes(TokenId id) const {
    return id < vocab_size() ? std::string_view(impl_->parts.tokens[id].bytes) : std::string_view();
}

std::string_view Tokenizer::decoded_bytes(TokenId id) const {
    const auto& others = impl_->parts.control_bytes;
    const auto other = others.empty() ? others.end() : others.find(id);
    return other == others.end() ? token_bytes(id) : std::string_view(other->second);
}

std::string_view Tokenizer::opening_bytes(TokenId id) const {
    const auto& openings = impl_->parts.openings;
    const auto opening = openings.find(id);
    if (opening != openings.end()) {
        return opening->second;
    }
    std::string_view bytes = decoded_bytes(id);
    bytes.remove_prefix(impl_->parts.leading_spaces > 0 && bytes.starts_with(' ') ? 1 : 0);
    return bytes;
}

bool Tokenizer::is_control(TokenId id) const {
    return id < vocab_size() && impl_->parts.tokens[id].control;
}

std::optional<TokenId> Tokenizer::find_token(std::string_view text) const {
    const Parts& parts = impl_->parts;
    for (const AddedTokens* added : {&parts.added, &parts.added_normalized}) {
        if (const auto id = added->find(text)) {
            return id;
        }
    }
    return parts.model->find(text);
}

std::optional<TokenId> Tokenizer::bos() const {
    return impl_->parts.bos;
}
std::optional<TokenId> Tokenizer::eos() const {
    return impl_->parts.eos;
}
std::optional<TokenId> Tokenizer::eot() const {
    return impl_->parts.eot;
}
std::optional<TokenId> Tokenizer::unknown() const {
    return impl_->parts.unknown;
}
std::optional<TokenId> Tokenizer::padding() const {
    return impl_->parts.padding;
}

std::span<const TokenId> Tokenizer::end_of_generation() const {
    return impl_->parts.end_of_generation;
}

bool Tokenizer::ends_generation(TokenId id) const {
    return std::ranges::binary_search(impl_->parts.end_of_generation, id);
}

size_t Tokenizer::leading_spaces_dropped() const {
    return impl_->parts.leading_spaces;
}

}  // namespace weir::text
