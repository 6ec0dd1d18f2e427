#include "api/reply_pieces.h"
#include "api/stream_writer.h"

namespace weir::api {
namespace {

void write_text_or_null(json::Writer& writer, std::string_view name, std::string_view text) {
    writer.key(name);
    if (text.empty()) {
        writer.null();
    } else {
        writer.value(text);
    }
}

void write_tool_calls(json::Writer& writer, const std::vector<chat::ToolCall>& calls) {
    writer.key("tool_calls").begin_array();
    for (const chat::ToolCall& call : calls) {
        writer.begin_object().member("id", std::string_view(call.id)).member("type", "function");
        writer.key("function").begin_object().member("name", std::string_view(call.name));
        writer.member("arguments", std::string_view(call.arguments)).end_object().end_object();
    }
    writer.end_array();
}

void write_message(json::Writer& writer, const ChoiceReply& choice) {
    writer.key("message").begin_object().member("role", "assistant");
    if (choice.tool_calls.empty() && choice.refusal.empty()) {
        writer.member("content", std::string_view(choice.text));
    } else {
        write_text_or_null(writer, "content", choice.text);
    }
    write_text_or_null(writer, "refusal", choice.refusal);
    if (!choice.reasoning.empty()) {
        writer.member("reasoning_content", std::string_view(choice.reasoning));
    }
    if (!choice.tool_calls.empty()) {
        write_tool_calls(writer, choice.tool_calls);
    }
    writer.end_object();
}

class ChatStream final : public OpenAiStream {
  public:
    ChatStream(const chat::ChatRequest& request, ReplyHead head)
        : OpenAiStream(request, std::move(head), kChatIdPrefix, "chat.completion.chunk") {}

  private:
    // A chunk whose delta `write_delta` writes.
    template <typename WriteDelta>
    void delta(uint32_t choice, std::string& out, WriteDelta write_delta) {
        chunk(choice, out, [&](json::Writer& writer) {
            writer.key("delta").begin_object();
            write_delta(writer);
            writer.end_object().key("logprobs").null().key("finish_reason").null();
        });
    }

    void begin(uint32_t choice, std::string& out) override {
        delta(choice, out, [](json::Writer& writer) {
            writer.member("role", "assistant").member("content", "").key("refusal").null();
        });
    }

    void text(const chat::TextDelta& piece, std::string& out) override {
        chunk(piece.choice, out, [&](json::Writer& writer) {
            writer.key("delta")
                .begin_object()
                .member("content", std::string_view(piece.text))
                .end_object();
            writer.key("logprobs");
            if (wants_logprobs()) {
                write_chat_logprobs(writer, piece.logprobs);
            } else {
                writer.null();
            }
            writer.key("finish_reason").null();
        });
    }

    bool reasoning(const chat::ReasoningDelta& piece, std::string& out) override {
        delta(piece.choice, out, [&](json::Writer& writer) {
            writer.member("reasoning_content", std::string_view(piece.text));
        });
        return true;
    }

    bool refusal(const chat::RefusalDelta& piece, std::string& out) override {
        delta(piece.choice, out, [&](json::Writer& writer) {
            writer.member("refusal", std::string_view(piece.text));
        });
        return true;
    }

    bool tool_call(const chat::ToolCallDelta& piece, std::string& out) override {
        delta(piece.choice, out, [&](json::Writer& writer) {
            writer.key("tool_calls").begin_array().begin_object().member("index", piece.index);
            if (!piece.id.empty()) {
                writer.member("id", std::string_view(piece.id)).member("type", "function");
            }
            writer.key("function").begin_object();
            if (!piece.name.empty()) {
                writer.member("name", std::string_view(piece.name));
            }
            writer.member("arguments", std::string_view(piece.arguments))
                .end_object()
                .end_object()
                .end_array();
        });
        return true;
    }

    void end(const chat::ChoiceFinished& end, std::string& out) override {
        chunk(end.choice, out, [&](json::Writer& writer) {
            writer.key("delta").begin_object().end_object().key("logprobs").null();
            writer.member("finish_reason", chat::name(end.reason));
        });
    }
};

}  // namespace

std::string chat_reply_json(const ReplyHead& head, const chat::ChatRequest& request,
                            const Reply& reply) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object();
    write_head(writer, head, kChatIdPrefix, "chat.completion", reply.started);
    writer.key("choices").begin_array();
    for (size_t i = 0; i < reply.choices.size(); ++i) {
        const ChoiceReply& choice = reply.choices[i];
        writer.begin_object().member("index", uint64_t{i});
        write_message(writer, choice);
        writer.key("logprobs");
        if (request.sampling.logprobs) {
            write_chat_logprobs(writer, choice.logprobs);
        } else {
            writer.null();
        }
        writer.member("finish_reason",
                      chat::name(choice.finish.value_or(chat::FinishReason::Stop)));
        writer.end_object();
    }
    writer.end_array();
    if (reply.usage) {
        writer.key("usage");
        write_usage(writer, *reply.usage);
    }
    writer.end_object();
    return out;
}

std::unique_ptr<StreamWriter> make_chat_stream(const chat::ChatRequest& request, ReplyHead head) {
    return std::make_unique<ChatStream>(request, std::move(head));
}

}  // namespace weir::api
