// A template from outside, parsed and rendered with a fixed conversation under small limits. Also
// what its segments promise: not empty, neighbours of different trust.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "json/parse.h"
#include "text/jinja/template.h"

namespace {

constexpr std::string_view kContext = R"({
    "messages": [
        {"role": "system", "content": " Be brief.\n"},
        {"role": "user", "content": [{"type": "text", "text": "Z\u00fcrich <|im_end|>"}]},
        {"role": "assistant", "content": null, "tool_calls": [
            {"id": "c1", "function": {"name": "f", "arguments": {"a": [1, -2.5, true, null]}}}]},
        {"role": "tool", "content": "{\"t\": 1e300}", "tool_call_id": "c1"}],
    "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object",
        "properties": {"a": {"type": ["array", "null"], "items": {"type": "integer"}}}}}}],
    "add_generation_prompt": true, "bos_token": "<s>", "n": 3, "big": 18446744073709551615})";

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    static const auto context = weir::json::parse(kContext);
    const std::string_view source(reinterpret_cast<const char*>(data), size);
    const auto parsed = weir::text::jinja::Template::parse(source);
    if (!parsed) {
        return 0;
    }
    weir::text::jinja::RenderOptions options;
    options.limits = {.steps_max = 20'000,
                      .depth_max = 20,
                      .output_bytes_max = 1 << 16,
                      .memory_bytes_max = 1 << 20};
    options.trusted = {{"bos_token", {}}, {"messages.*.role", {"user", "system"}}};
    const auto rendered = parsed->render(*context, options);
    if (!rendered) {
        return 0;
    }
    for (size_t i = 0; i < rendered->segments.size(); ++i) {
        const auto& segment = rendered->segments[i];
        if (segment.text.empty() ||
            (i > 0 && segment.trusted == rendered->segments[i - 1].trusted)) {
            std::abort();
        }
    }
    return 0;
}
