// The tool calls of AnswerDecoder. OpenAI numbers the calls of a choice from 0 and names each in
// its first piece. Servers that imitate it leave the number out, count from 1, give every call the
// number 0, repeat id and name in each piece, or give no id; all of that can be told apart and is.

#include <algorithm>
#include <ranges>

#include "providers/openai/answer_decoder.h"

namespace weir::providers {
namespace {

constexpr size_t kCallsMax = 128;  // of one choice
constexpr size_t kNameBytesMax = 1024;

}  // namespace

Result<void> AnswerDecoder::read_tool_calls(json::Fields& pieces, uint32_t index, Events& events) {
    WEIR_TRY_ASSIGN(const json::Array* calls, pieces.array("tool_calls"));
    for (size_t i = 0; calls != nullptr && i < calls->size(); ++i) {
        const std::string path = fmt::format("{}[{}]", pieces.path_of("tool_calls"), i);
        WEIR_TRY_ASSIGN(json::Fields call, json::Fields::of((*calls)[i], path));
        WEIR_TRY(read_tool_call(call, index, events));
    }
    return {};
}

// The call that a piece belongs to; a new one if nothing before fits.
Result<AnswerDecoder::CallState*> AnswerDecoder::call_state(json::Fields& call, ChoiceState& choice,
                                                            std::string_view id,
                                                            std::string_view name) {
    std::optional<uint32_t> peer_index;
    WEIR_TRY(call.read("index", json::in_range(0u, 1'000'000u), peer_index));
    const auto known = peer_index ? std::ranges::find(choice.calls | std::views::reverse,
                                                      *peer_index, &CallState::peer_index)
                                  : choice.calls.rbegin();
    const bool begins_another =
        known == choice.calls.rend() ||
        (!id.empty() && !name.empty() && known->index.has_value() && !known->id.empty() &&
         known->id != id) ||
        (!peer_index && !name.empty() && known->index.has_value() && id.empty());
    if (!begins_another) {
        return &*known;
    }
    if (choice.calls.size() == kCallsMax) {
        return invalid_argument(call.path_of("index"), "there are more than {} tool calls",
                                kCallsMax);
    }
    choice.calls.push_back(
        {.peer_index = peer_index.value_or(static_cast<uint32_t>(choice.calls.size()))});
    return &choice.calls.back();
}

Result<void> AnswerDecoder::read_tool_call(json::Fields& call, uint32_t index, Events& events) {
    std::string id;
    std::string name;
    std::string arguments;
    WEIR_TRY(call.read("id", id));
    WEIR_TRY_ASSIGN(const json::Object* object, call.object("function"));
    if (object != nullptr) {
        json::Fields function(*object, call.path_of("function"));
        WEIR_TRY(function.read("name", name));
        WEIR_TRY(function.read("arguments", arguments));
    }
    if (id.size() > kNameBytesMax || name.size() > kNameBytesMax) {
        return invalid_argument(call.path_of("id"), "{} or the name is too long",
                                call.path_of("id"));
    }
    ChoiceState& choice = choices_[index];
    WEIR_TRY_ASSIGN(CallState * state, call_state(call, choice, id, name));
    chat::ToolCallDelta delta{.choice = index};
    if (!state->index) {
        if (!id.empty()) {
            state->id = std::move(id);
        }
        if (name.empty()) {
            return arguments.empty()
                       ? Result<void>()
                       : invalid_argument(call.path_of("function.name"), "{} is required",
                                          call.path_of("function.name"));
        }
        state->index = static_cast<uint32_t>(std::ranges::count_if(
            choice.calls, [](const CallState& other) { return other.index.has_value(); }));
        if (state->id.empty()) {
            state->id = fmt::format("{}{}_{}", expected_.call_id_prefix, index, *state->index);
        }
        delta.id = state->id;
        delta.name = std::move(name);
    } else if (arguments.empty()) {
        return {};
    }
    delta.index = *state->index;
    delta.arguments = std::move(arguments);
    events.emplace_back(std::move(delta));
    return {};
}

}  // namespace weir::providers
