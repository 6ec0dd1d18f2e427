#include "text/output/probe.h"

#include <fmt/format.h>

#include "json/parse.h"
#include "text/output/json_text.h"
#include "text/output/pieces.h"

namespace weir::text {
namespace {

constexpr std::string_view kTools = R"([{"type": "function", "function": {"name": "weirfn",
    "description": "d", "parameters": {"type": "object", "properties": {
        "weirkey": {"type": "string", "description": "d"},
        "weirkez": {"type": "string", "description": "d"}}, "required": ["weirkey"]}}},
    {"type": "function", "function": {"name": "weirfm", "description": "d", "parameters":
        {"type": "object", "properties": {"weirkey": {"type": "string", "description": "d"}},
         "required": ["weirkey"]}}}])";

}  // namespace

std::string without_prefix(std::string_view text, std::string_view known) {
    const Pieces pieces(text);
    const size_t same = common_prefix(pieces, Pieces(known));
    return pieces.text(same, pieces.size());
}

Probe::Probe(const jinja::Template& compiled,
             const std::vector<std::pair<std::string, std::string>>& special_tokens,
             const jinja::RenderLimits& limits)
    : compiled_(compiled), special_tokens_(special_tokens) {
    options_.limits = limits;
    prompt_ = render("", false).value_or("");
    header_ = without_prefix(render("", true).value_or(""), prompt_);
}

std::optional<std::string> Probe::answer(const std::string& message) const {
    auto all = render(", {\"role\": \"assistant\", " + message + "}", false);
    if (!all) {
        return std::nullopt;
    }
    return without_prefix(*all, prompt_);
}

std::optional<std::string> Probe::calls(const std::vector<Call>& calls,
                                        std::string_view text) const {
    std::string list;
    for (const Call& call : calls) {
        const std::string arguments =
            arguments_are_text_ ? json_string(call.arguments) : call.arguments;
        list += fmt::format(
            "{}{{\"id\": \"{}\", \"type\": \"function\", \"function\": {{\"name\": \"{}\", "
            "\"arguments\": {}}}}}",
            list.empty() ? "" : ", ", call.id, call.name, arguments);
    }
    return answer(fmt::format("\"content\": \"{}\", \"tool_calls\": [{}]", text, list));
}

std::optional<std::string> Probe::render(const std::string& answer, bool generation) const {
    const std::string text = fmt::format(
        "{{\"messages\": [{{\"role\": \"user\", \"content\": \"weirquestion\"}}{}], "
        "\"tools\": {}, \"documents\": null, \"add_generation_prompt\": {}}}",
        answer, kTools, generation);
    auto context = json::parse(text);
    if (!context) {
        return std::nullopt;
    }
    for (const auto& [name, token] : special_tokens_) {
        context->if_object()->set(name, token);
    }
    const auto rendered = compiled_.render(*context, options_);
    return rendered ? std::optional(rendered->text()) : std::nullopt;
}

}  // namespace weir::text
