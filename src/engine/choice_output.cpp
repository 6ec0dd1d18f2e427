#include "engine/choice_output.h"

#include <algorithm>
#include <utility>

namespace weir::engine {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014): one round mixes all bits.
uint64_t mix(uint64_t value) {
    value += 0x9E3779B97F4A7C15u;
    value = (value ^ (value >> 30)) * 0xBF58476D1CE4E5B9u;
    value = (value ^ (value >> 27)) * 0x94D049BB133111EBu;
    return value ^ (value >> 31);
}

}  // namespace

std::vector<TokenId> format_tokens_of(const text::OutputFormat& format,
                                      const text::Tokenizer& tokenizer) {
    const std::vector<std::string_view> markers = format.markers();
    std::vector<TokenId> tokens;
    for (size_t id = 0; id < tokenizer.vocab_size(); ++id) {
        const auto token = static_cast<TokenId>(id);
        if (!tokenizer.is_control(token)) {
            continue;
        }
        const std::string_view bytes = tokenizer.token_bytes(token);
        const bool is_used = std::ranges::any_of(
            markers, [&](std::string_view marker) { return marker.find(bytes) != marker.npos; });
        if (is_used && !bytes.empty()) {
            tokens.push_back(token);
        }
    }
    return tokens;
}

std::string tool_call_id(uint64_t seed, uint32_t choice, uint32_t call) {
    constexpr std::string_view kLetters =
        "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    uint64_t bits = mix(mix(seed) ^ (uint64_t{choice} << 32 | call));
    std::string id;
    for (int i = 0; i < 9; ++i) {  // 62^9 is below 2^54
        id.push_back(kLetters[bits % kLetters.size()]);
        bits /= kLetters.size();
    }
    return id;
}

ChoiceOutput::ChoiceOutput(const text::Tokenizer& tokenizer, const std::vector<std::string>& stops,
                           const OutputReading& reading)
    : text_(tokenizer, stops, reading.format_tokens),
      id_seed_(reading.id_seed),
      ids_are_the_models_(reading.format != nullptr && reading.format->calls.name_has_index) {
    if (reading.format != nullptr) {
        parser_.emplace(reading.format, reading.tools,
                        text::OutputParser::Options{.finds_calls = reading.finds_calls,
                                                    .prompt_tail = reading.prompt_tail});
    }
}

Result<void> ChoiceOutput::push(uint32_t choice, const SampledToken& token,
                                std::vector<chat::ChatEvent>& events) {
    const bool was_reasoning = parser_ && parser_->is_reasoning();
    WEIR_TRY_ASSIGN(auto delta, text_.push(choice, token));
    take(choice, std::move(delta), events);
    reasoning_tokens_ += was_reasoning ? 1 : 0;
    return {};
}

void ChoiceOutput::take(uint32_t choice, std::optional<chat::TextDelta> delta,
                        std::vector<chat::ChatEvent>& events) {
    if (!delta) {
        return;
    }
    if (!parser_) {
        events.emplace_back(*std::move(delta));
        return;
    }
    const std::vector<uint64_t>& begins = text_.released_begins();
    for (size_t i = 0; i < delta->logprobs.size(); ++i) {
        pending_.push_back({begins[i], std::move(delta->logprobs[i])});
    }
    std::vector<text::OutputPiece> pieces;
    parser_->push(delta->text, pieces);
    emit(choice, pieces, events);
    drop_logprobs_before(parser_->decided());
}

void ChoiceOutput::emit(uint32_t choice, std::vector<text::OutputPiece>& pieces,
                        std::vector<chat::ChatEvent>& events) {
    using Kind = text::OutputPiece::Kind;
    for (text::OutputPiece& piece : pieces) {
        switch (piece.kind) {
            case Kind::Text:
                events.emplace_back(text_event(choice, piece));
                break;
            case Kind::Reasoning:
                events.emplace_back(
                    chat::ReasoningDelta{.choice = choice, .text = std::move(piece.text)});
                break;
            case Kind::Call: {
                const bool has_id = ids_are_the_models_ && !piece.id.empty();
                events.emplace_back(chat::ToolCallDelta{
                    .choice = choice,
                    .index = piece.call,
                    .id = has_id ? std::move(piece.id) : tool_call_id(id_seed_, choice, piece.call),
                    .name = std::move(piece.text),
                    .arguments = {}});
                break;
            }
            case Kind::Arguments:
                if (piece.call < parser_->calls()) {
                    events.emplace_back(chat::ToolCallDelta{.choice = choice,
                                                            .index = piece.call,
                                                            .id = {},
                                                            .name = {},
                                                            .arguments = std::move(piece.text)});
                }
                break;
        }
    }
}

// With the log probabilities of the tokens that have a byte in it.
chat::TextDelta ChoiceOutput::text_event(uint32_t choice, text::OutputPiece& piece) {
    const uint64_t end = piece.source + piece.text.size();
    chat::TextDelta delta{.choice = choice, .text = std::move(piece.text), .logprobs = {}};
    drop_logprobs_before(piece.source);
    while (!pending_.empty() && pending_.front().begin < end) {
        delta.logprobs.push_back(std::move(pending_.front().logprob));
        pending_.pop_front();
    }
    return delta;
}

// Of tokens that end at or before this byte, which is text only from here on.
void ChoiceOutput::drop_logprobs_before(uint64_t source) {
    while (!pending_.empty() &&
           pending_.front().begin + pending_.front().logprob.bytes.size() <= source) {
        pending_.pop_front();
    }
}

void ChoiceOutput::finish(uint32_t choice, chat::FinishReason reason,
                          std::vector<chat::ChatEvent>& events) {
    take(choice, text_.finish(choice), events);
    const bool is_whole = reason == chat::FinishReason::Stop || stopped();
    if (parser_) {
        std::vector<text::OutputPiece> pieces;
        parser_->finish(is_whole ? text::OutputParser::End::Whole : text::OutputParser::End::Cut,
                        pieces);
        emit(choice, pieces, events);
    }
    if (is_whole) {
        const bool called =
            parser_ && parser_->calls() > 0 && parser_->calls_are_whole() && !stopped();
        reason = called ? chat::FinishReason::ToolCalls : chat::FinishReason::Stop;
    }
    events.emplace_back(chat::ChoiceFinished{choice, reason});
}

}  // namespace weir::engine
