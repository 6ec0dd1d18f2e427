#include "providers/openai/usage.h"

#include <string_view>

namespace weir::providers {
namespace {

constexpr int64_t kNonsense = -1;

// The count, 0 if absent or null, kNonsense if it is none. A private sentinel: it never leaves.
int64_t count(const json::Object& object, std::string_view name) {
    const json::Value* value = object.find(name);
    if (value == nullptr || value->is_null()) {
        return 0;
    }
    const auto* number = std::get_if<int64_t>(&value->storage());
    return number == nullptr || *number < 0 ? kNonsense : *number;
}

int64_t detail(const json::Object& usage, std::string_view group, std::string_view name) {
    const json::Value* details = usage.find(group);
    const json::Object* object = details == nullptr ? nullptr : details->if_object();
    return object == nullptr ? 0 : count(*object, name);
}

}  // namespace

std::optional<chat::Usage> read_usage(const json::Value& usage, const UsageBounds& bounds) {
    const json::Object* object = usage.if_object();
    if (object == nullptr || object->find("prompt_tokens") == nullptr ||
        object->find("completion_tokens") == nullptr) {
        return std::nullopt;
    }
    const int64_t prompt = count(*object, "prompt_tokens");
    const int64_t completion = count(*object, "completion_tokens");
    int64_t cached = detail(*object, "prompt_tokens_details", "cached_tokens");
    if (cached == 0) {
        cached = count(*object, "prompt_cache_hit_tokens");  // DeepSeek's name
    }
    const int64_t reasoning = detail(*object, "completion_tokens_details", "reasoning_tokens");
    if (prompt < 0 || completion < 0 || cached < 0 || reasoning < 0 || cached > prompt ||
        reasoning > completion) {
        return std::nullopt;
    }
    const chat::Usage found{.prompt_tokens = static_cast<uint64_t>(prompt),
                            .cached_tokens = static_cast<uint64_t>(cached),
                            .completion_tokens = static_cast<uint64_t>(completion),
                            .reasoning_tokens = static_cast<uint64_t>(reasoning)};
    const bool plausible = found.prompt_tokens <= bounds.prompt_tokens_max &&
                           found.completion_tokens <= bounds.completion_tokens_max;
    return plausible ? std::optional(found) : std::nullopt;
}

}  // namespace weir::providers
