#include "policy/strings_of.h"

#include <array>

#include "base/result.h"

namespace weir::policy {
namespace {

constexpr size_t kSeamBytes = 512;  // at each end of a piece: several times the longest finding
constexpr size_t kRoles = static_cast<size_t>(chat::Role::Tool) + 1;
constexpr size_t kTokensMax = 64;  // ids of more tokens could say anything, in their own order

// One walk over the whole tree. A new field of the waist belongs here, or a test fails.
class Walk {
  public:
    explicit Walk(RequestPieces& out) : out_(out) {}

    void add(std::string_view text) {
        if (!text.empty()) {
            out_.texts.push_back(text);
        }
    }
    void add(const std::optional<std::string>& text) {
        if (text) {
            add(std::string_view(*text));
        }
    }
    void add(const chat::ContentPart& part) {
        switch (part.kind) {
            case chat::ContentPart::Kind::Text:
            case chat::ContentPart::Kind::Refusal:
                break;
            case chat::ContentPart::Kind::Image:
            case chat::ContentPart::Kind::Audio:
            case chat::ContentPart::Kind::File:
                out_.uninspectable = true;
                break;
        }
        add(std::string_view(part.text));
    }
    void add(const chat::Message& message) {
        for (const chat::ContentPart& part : message.content) {
            add(part);
        }
        add(message.name);
        add(message.reasoning);
        for (const chat::ToolCall& call : message.tool_calls) {
            add(std::string_view(call.id));
            add(std::string_view(call.name));
            add(std::string_view(call.arguments));
        }
        add(message.tool_call_id);
    }
    void add(const chat::Conversation& conversation) {
        for (const chat::Message& message : conversation.messages) {
            add(message);
        }
        for (const chat::Tool& tool : conversation.tools) {
            add(std::string_view(tool.name));
            add(tool.description);
            add(tool.parameters);
        }
        if (conversation.tool_choice) {
            add(std::string_view(conversation.tool_choice->name));
        }
        add(conversation.reasoning_effort);
        add_pairs(conversation.template_variables);
    }
    void add(const chat::RawPrompts& raw) {
        for (const auto& prompt : raw.prompts) {
            if (const std::string* text = std::get_if<std::string>(&prompt)) {
                add(std::string_view(*text));
            } else {
                out_.uninspectable = true;
            }
        }
    }
    void add(const chat::SamplingParams& sampling) {
        for (const std::string& stop : sampling.stop) {
            add(std::string_view(stop));
        }
        if (sampling.seed) {  // some dialects write it with a sign
            out_.numbers.push_back(fmt::format("{}", *sampling.seed));
            out_.numbers.push_back(fmt::format("{}", static_cast<int64_t>(*sampling.seed)));
        }
        std::string tokens;
        std::string biases;
        for (const auto& [token, bias] : sampling.logit_bias) {
            tokens += fmt::format("{}, ", token);
            biases += fmt::format("{}, ", bias);
        }
        for (const TokenId token : sampling.stop_token_ids) {
            tokens += fmt::format("{}, ", token);
        }
        if (!tokens.empty()) {
            out_.lists = {std::move(tokens), std::move(biases)};
        }
        out_.uninspectable = out_.uninspectable || sampling.logit_bias.size() > kTokensMax ||
                             sampling.stop_token_ids.size() > kTokensMax;
    }
    void add_pairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
        for (const auto& [name, value] : pairs) {
            add(std::string_view(name));
            add(std::string_view(value));
        }
    }

  private:
    RequestPieces& out_;
};

void add_seam(std::string& seam, std::string_view text) {
    if (text.size() <= 2 * kSeamBytes) {
        seam += text;
        return;
    }
    seam += text.substr(0, kSeamBytes);
    seam += " ~ left out ~ ";  // no value goes on across this
    seam += text.substr(text.size() - kSeamBytes);
}

// Only for roles that speak more than once: of the others the whole has it all.
std::vector<std::string> seams_by_role(const std::vector<chat::Message>& messages) {
    std::array<std::string, kRoles> seams;
    std::array<size_t, kRoles> turns{};
    for (const chat::Message& message : messages) {
        const auto role = static_cast<size_t>(message.role);
        ++turns[role];
        for (const chat::ContentPart& part : message.content) {
            add_seam(seams[role], part.text);
        }
        for (const chat::ToolCall& call : message.tool_calls) {
            add_seam(seams[role], call.arguments);
        }
    }
    std::vector<std::string> out;
    for (size_t role = 0; role < kRoles; ++role) {
        if (turns[role] > 1) {
            out.push_back(std::move(seams[role]));
        }
    }
    return out;
}

}  // namespace

RequestPieces pieces_of(const chat::ChatRequest& request) {
    RequestPieces out;
    Walk walk(out);
    walk.add(std::string_view(request.model));
    std::visit([&](const auto& input) { walk.add(input); }, request.input);
    walk.add(request.sampling);
    if (request.response_format) {
        walk.add(std::string_view(request.response_format->name));
        walk.add(request.response_format->description);
        walk.add(request.response_format->schema);
    }
    walk.add_pairs(request.passed_on);
    return out;
}

Seams seams_of(const chat::ChatRequest& request, const RequestPieces& pieces) {
    Seams seams;
    const size_t model = request.model.empty() ? 0 : 1;  // the first, and no part of what is said
    if (pieces.texts.size() > model + 1) {
        for (size_t i = model; i < pieces.texts.size(); ++i) {
            add_seam(seams.all, pieces.texts[i]);
        }
    }
    if (const auto* conversation = std::get_if<chat::Conversation>(&request.input)) {
        seams.by_role = seams_by_role(conversation->messages);
    }
    return seams;
}

}  // namespace weir::policy
