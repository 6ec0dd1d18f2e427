#include "api/reply_pieces.h"
#include "api/stream_writer.h"

namespace weir::api {
namespace {

class CompletionStream final : public OpenAiStream {
  public:
    CompletionStream(const chat::ChatRequest& request, ReplyHead head)
        : OpenAiStream(request, std::move(head), kCompletionIdPrefix, "text_completion"),
          characters_(chat::choice_count(request)) {}

  private:
    void begin(uint32_t, std::string&) override {}

    void text(const chat::TextDelta& piece, std::string& out) override {
        chunk(piece.choice, out, [&](json::Writer& writer) {
            writer.member("text", std::string_view(piece.text)).key("logprobs");
            if (wants_logprobs()) {
                write_completion_logprobs(writer, piece.logprobs, characters_[piece.choice]);
            } else {
                writer.null();
            }
            writer.key("finish_reason").null();
        });
    }

    void end(const chat::ChoiceFinished& end, std::string& out) override {
        chunk(end.choice, out, [&](json::Writer& writer) {
            writer.member("text", "").key("logprobs").null();
            writer.member("finish_reason", completion_finish_reason(end.reason));
        });
    }

    bool reasoning(const chat::ReasoningDelta&, std::string&) override { return false; }
    bool refusal(const chat::RefusalDelta&, std::string&) override { return false; }
    bool tool_call(const chat::ToolCallDelta&, std::string&) override { return false; }

    std::vector<uint64_t> characters_;  // of each choice, so far
};

}  // namespace

std::string completion_reply_json(const ReplyHead& head, const chat::ChatRequest& request,
                                  const Reply& reply) {
    std::string out;
    json::Writer writer(out);
    writer.begin_object();
    write_head(writer, head, kCompletionIdPrefix, "text_completion", reply.started);
    writer.key("choices").begin_array();
    for (size_t i = 0; i < reply.choices.size(); ++i) {
        const ChoiceReply& choice = reply.choices[i];
        writer.begin_object()
            .member("index", uint64_t{i})
            .member("text", std::string_view(choice.text));
        writer.key("logprobs");
        if (request.sampling.logprobs) {
            uint64_t characters = 0;
            write_completion_logprobs(writer, choice.logprobs, characters);
        } else {
            writer.null();
        }
        writer.member("finish_reason",
                      completion_finish_reason(choice.finish.value_or(chat::FinishReason::Stop)));
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

std::unique_ptr<StreamWriter> make_completion_stream(const chat::ChatRequest& request,
                                                     ReplyHead head) {
    return std::make_unique<CompletionStream>(request, std::move(head));
}

}  // namespace weir::api
