#pragma once

#include <vector>

#include "api/openai_reply.h"
#include "api/reply_pieces.h"

namespace weir::api {

// What the two kinds of streams share: the order of chunks, the end, and the refusal of a fake end.
class OpenAiStream : public StreamWriter {
  public:
    void append(const chat::ChatEvent& event, std::string& out) final;

  protected:
    OpenAiStream(const chat::ChatRequest& request, ReplyHead head, std::string_view id_prefix,
                 std::string_view object);

    // Writes one chunk; `write_choice` writes the members of its only choice, but for the index.
    template <typename WriteChoice>
    void chunk(uint32_t choice, std::string& out, WriteChoice write_choice) {
        begin_chunk();
        json::Writer writer(chunk_);
        writer.begin_object().member("index", choice);
        write_choice(writer);
        writer.end_object();
        end_chunk(out);
    }

    bool wants_logprobs() const { return wants_logprobs_; }

  private:
    struct ChoiceState {
        bool begun = false;
        bool finished = false;
    };

    // The kinds' own chunks. `begin` comes before a choice's first other one.
    virtual void begin(uint32_t choice, std::string& out) = 0;
    virtual void text(const chat::TextDelta& delta, std::string& out) = 0;
    virtual void end(const chat::ChoiceFinished& end, std::string& out) = 0;
    // The rest is chat's alone: false where such a thing cannot be said.
    virtual bool reasoning(const chat::ReasoningDelta& delta, std::string& out) = 0;
    virtual bool refusal(const chat::RefusalDelta& delta, std::string& out) = 0;
    virtual bool tool_call(const chat::ToolCallDelta& delta, std::string& out) = 0;

    void take(const chat::Started& event, std::string& out);
    void take(const chat::TextDelta& event, std::string& out);
    void take(const chat::ReasoningDelta& event, std::string& out);
    void take(const chat::RefusalDelta& event, std::string& out);
    void take(const chat::ToolCallDelta& event, std::string& out);
    void take(const chat::ChoiceFinished& event, std::string& out);
    void take(const chat::Finished& event, std::string& out);
    void take(const Error& event, std::string& out);

    bool enter(uint32_t choice, std::string& out);  // false: the stream has been ended
    void begin_chunk();
    void end_chunk(std::string& out);
    void break_off(std::string& out);

    ReplyHead head_;
    std::string_view id_prefix_;
    std::string_view object_;
    bool include_usage_;
    bool wants_logprobs_;
    bool done_ = false;
    chat::Started started_;
    std::vector<ChoiceState> choices_;
    std::string chunk_;  // being written; its capacity is kept
};

std::unique_ptr<StreamWriter> make_chat_stream(const chat::ChatRequest& request, ReplyHead head);
std::unique_ptr<StreamWriter> make_completion_stream(const chat::ChatRequest& request,
                                                     ReplyHead head);

}  // namespace weir::api
