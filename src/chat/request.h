#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "base/token_id.h"
#include "chat/label.h"

namespace weir::chat {

// The narrow waist: what a client asks, in no dialect. JSON that only the model or a provider
// reads (schemas, tool arguments) is carried as JSON text, checked to be well formed by `api`.

enum class Role : uint8_t { System, Developer, User, Assistant, Tool };

std::string_view name(Role role);

// One piece of a message. For kinds other than Text and Refusal, `text` is the part as JSON text
// in OpenAI's shape: nothing here can look inside, so policy treats it as sensitive.
struct ContentPart {
    enum class Kind : uint8_t { Text, Refusal, Image, Audio, File };
    Kind kind = Kind::Text;
    std::string text;
};

struct ToolCall {
    std::string id;
    std::string name;
    std::string arguments;  // as the model wrote them: usually, not surely, JSON text
};

struct Message {
    Role role = Role::User;
    std::vector<ContentPart> content;
    bool content_was_array = false;  // the client sent parts, not a string
    std::optional<std::string> name;
    std::optional<std::string> reasoning;
    std::vector<ToolCall> tool_calls;         // Assistant only
    std::optional<std::string> tool_call_id;  // Tool only
};

struct Tool {
    std::string name;
    std::optional<std::string> description;
    std::optional<std::string> parameters;  // JSON Schema text
    std::optional<bool> strict;
};

struct ToolChoice {
    enum class Mode : uint8_t { Auto, None, Required, Named };
    Mode mode = Mode::Auto;
    std::string name;  // Named only
};

struct ResponseFormat {
    enum class Kind : uint8_t { Text, JsonObject, JsonSchema };
    Kind kind = Kind::Text;
    std::string name;
    std::optional<std::string> description;
    std::optional<std::string> schema;  // JSON Schema text
    std::optional<bool> strict;
};

struct Conversation {
    std::vector<Message> messages;
    std::vector<Tool> tools;
    std::optional<ToolChoice> tool_choice;
    std::optional<bool> parallel_tool_calls;
    std::optional<std::string> reasoning_effort;
    // Variables for the chat template, from an allow-list (name, JSON text).
    std::vector<std::pair<std::string, std::string>> template_variables;
};

// What /v1/completions takes: each prompt is text or token ids, and makes `choices` answers.
struct RawPrompts {
    std::vector<std::variant<std::string, std::vector<TokenId>>> prompts;
    bool echo = false;
};

struct SamplingParams {
    std::optional<float> temperature;  // absent: 1; 0 is greedy
    std::optional<float> top_p;
    std::optional<uint32_t> top_k;  // absent or 0: all
    std::optional<float> min_p;
    float repetition_penalty = 1.0f;
    float presence_penalty = 0.0f;
    float frequency_penalty = 0.0f;
    std::vector<std::pair<TokenId, float>> logit_bias;
    std::vector<std::string> stop;
    std::vector<TokenId> stop_token_ids;
    bool ignore_eos = false;
    std::optional<uint64_t> seed;  // absent: ChatRequest::drawn_seed, where a local model answers
    std::optional<uint32_t> tokens_max;
    uint32_t choices = 1;             // n
    std::optional<uint32_t> best_of;  // RawPrompts only; >= choices
    // Log probability of each chosen token, and of this many alternatives. Absent: none.
    std::optional<uint32_t> logprobs;
};

struct ChatRequest {
    std::string id;     // Weir's own, unique; also the answer's id
    std::string model;  // as the client wrote it
    std::variant<Conversation, RawPrompts> input;
    SamplingParams sampling;
    std::optional<ResponseFormat> response_format;
    bool stream = false;
    bool include_usage = false;
    // What changes no answer (user, metadata, …), as (name, JSON text): inspected, and passed on
    // to remotes.
    std::vector<std::pair<std::string, std::string>> passed_on;
    // Drawn and noted by whoever took the request, so that a local answer can be told again to the
    // bit. Never sent to a provider.
    uint64_t drawn_seed = 0;
    // What a chat template takes for now, in the time zone of whoever took the request. Absent: the
    // answering process looks at its own clock.
    std::optional<std::chrono::local_seconds> asked_at;
    std::string tenant;  // whose prefix cache this may use; a key's name, or empty
    std::optional<InspectionStamp> inspection;
};

// The number of answers a request makes, all prompts together; choice indices are below it.
uint32_t choice_count(const ChatRequest& request);

}  // namespace weir::chat
