#include "policy/strings_of.h"

#include <array>

namespace weir::policy {
namespace {

constexpr size_t kSeamBytes = 256;  // at each end of a message: several times the longest finding
constexpr size_t kRoles = static_cast<size_t>(chat::Role::Tool) + 1;

// One walk over the whole tree. A new field of the waist belongs here, or a test fails.
class Walk {
  public:
    explicit Walk(RequestStrings& out) : out_(out) {}

    void add(std::string_view text) {
        if (!text.empty()) {
            out_.pieces.push_back(text);
            out_.joined += text;
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
        add_seams(conversation.messages);
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
    void add_pairs(const std::vector<std::pair<std::string, std::string>>& pairs) {
        for (const auto& [name, value] : pairs) {
            add(std::string_view(name));
            add(std::string_view(value));
        }
    }

  private:
    static void add_seam(std::string& seam, std::string_view text) {
        if (text.size() <= 2 * kSeamBytes) {
            seam += text;
            return;
        }
        seam += text.substr(0, kSeamBytes);
        seam += " | ";  // no value goes on across this
        seam += text.substr(text.size() - kSeamBytes);
    }

    // Only for roles that speak more than once: of the others `joined` has it all.
    void add_seams(const std::vector<chat::Message>& messages) {
        std::array<std::string, kRoles> seams;
        std::array<size_t, kRoles> turns{};
        for (const chat::Message& message : messages) {
            const auto role = static_cast<size_t>(message.role);
            ++turns[role];
            for (const chat::ContentPart& part : message.content) {
                add_seam(seams[role], part.text);
            }
        }
        for (size_t role = 0; role < kRoles; ++role) {
            if (turns[role] > 1) {
                out_.seams.push_back(std::move(seams[role]));
            }
        }
    }

    RequestStrings& out_;
};

}  // namespace

RequestStrings strings_of(const chat::ChatRequest& request) {
    RequestStrings out;
    Walk walk(out);
    walk.add(std::string_view(request.model));
    std::visit([&](const auto& input) { walk.add(input); }, request.input);
    for (const std::string& stop : request.sampling.stop) {
        walk.add(std::string_view(stop));
    }
    if (request.response_format) {
        walk.add(std::string_view(request.response_format->name));
        walk.add(request.response_format->description);
        walk.add(request.response_format->schema);
    }
    walk.add_pairs(request.passed_on);
    return out;
}

}  // namespace weir::policy
