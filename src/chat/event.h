#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "base/error.h"
#include "base/token_id.h"

namespace weir::chat {

struct TopLogprob {
    std::string bytes;  // the token's bytes, perhaps no whole character
    float logprob = 0;
};

struct TokenLogprob {
    std::string bytes;
    float logprob = 0;
    std::vector<TopLogprob> top;
};

// The first event of an answer: somebody has accepted the request.
struct Started {
    std::string model;  // as the backend calls it
    std::optional<std::string> system_fingerprint;
};

struct TextDelta {
    uint32_t choice = 0;
    std::string text;                    // whole characters; may be empty
    std::vector<TokenLogprob> logprobs;  // of the tokens that this delta stands for, if asked for
};

struct ReasoningDelta {
    uint32_t choice = 0;
    std::string text;
};

struct RefusalDelta {
    uint32_t choice = 0;
    std::string text;
};

struct ToolCallDelta {
    uint32_t choice = 0;
    uint32_t index = 0;     // which call of this choice
    std::string id;         // only in a call's first delta
    std::string name;       // only in a call's first delta
    std::string arguments;  // a piece
};

enum class FinishReason : uint8_t { Stop, Length, ToolCalls, ContentFilter };

std::string_view name(FinishReason reason);

struct ChoiceFinished {
    uint32_t choice = 0;
    FinishReason reason = FinishReason::Stop;
};

struct Usage {
    uint64_t prompt_tokens = 0;
    uint64_t cached_tokens = 0;  // of the prompt tokens
    uint64_t completion_tokens = 0;
    uint64_t reasoning_tokens = 0;  // of the completion tokens
};

// The answer is complete. Absent usage: the backend did not say.
struct Finished {
    std::optional<Usage> usage;
};

// An answer is Started, then deltas and ChoiceFinished in any interleaving of choices, then
// exactly one Finished or Error, which is the last event.
using ChatEvent = std::variant<Started, TextDelta, ReasoningDelta, RefusalDelta, ToolCallDelta,
                               ChoiceFinished, Finished, Error>;

bool is_last(const ChatEvent& event);

}  // namespace weir::chat
