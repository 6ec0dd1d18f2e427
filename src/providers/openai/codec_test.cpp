#include "providers/openai/codec.h"

#include <gtest/gtest.h>

namespace weir::providers {
namespace {

using chat::ChatEvent;
using chat::ChatRequest;

class TextSink final : public chat::ChatSink {
  public:
    void on_event(ChatEvent event) override {
        std::visit([this](const auto& kind) { add(kind); }, event);
        last_ = std::move(event);
    }
    // Adjacent texts of a choice run together, so that the cuts of a stream do not show.
    const std::string& text() const { return text_; }
    const ChatEvent& last() const { return last_; }

  private:
    void add(const chat::Started& e) { text_ += fmt::format("started({})", e.model); }
    void add(const chat::TextDelta& e) {
        text_ += fmt::format(" text{}({})", e.choice, e.text);
        for (const auto& token : e.logprobs) {
            text_ += fmt::format("[{} {} {}]", token.bytes, token.logprob, token.top.size());
        }
    }
    void add(const chat::ReasoningDelta& e) {
        text_ += fmt::format(" reasoning{}({})", e.choice, e.text);
    }
    void add(const chat::RefusalDelta& e) {
        text_ += fmt::format(" refusal{}({})", e.choice, e.text);
    }
    void add(const chat::ToolCallDelta& e) {
        text_ += fmt::format(" call{}.{}({},{},{})", e.choice, e.index, e.id, e.name, e.arguments);
    }
    void add(const chat::ChoiceFinished& e) {
        text_ += fmt::format(" end{}({})", e.choice, chat::name(e.reason));
    }
    void add(const chat::Finished& e) {
        text_ += e.usage ? fmt::format(" usage({},{},{},{})", e.usage->prompt_tokens,
                                       e.usage->cached_tokens, e.usage->completion_tokens,
                                       e.usage->reasoning_tokens)
                         : " no usage";
    }
    void add(const Error&) { text_ += " ERROR"; }

    std::string text_;
    ChatEvent last_;
};

ChatRequest chat_request() {
    ChatRequest request;
    request.id = "7";
    request.stream = true;
    request.input =
        chat::Conversation{.messages = {{.role = chat::Role::User, .content = {{.text = "hi"}}}}};
    return request;
}

OpenAiOptions options(OpenAiDialect dialect = OpenAiDialect::openai()) {
    return {.dialect = dialect, .model = "up"};
}

struct Decoded {
    std::string events;
    Error error;  // message empty: none
    bool suspect = false;
};

Decoded decode_in_pieces(const ChatRequest& request, std::string_view bytes, size_t piece,
                         OpenAiDialect dialect = OpenAiDialect::openai()) {
    OpenAiCodec codec(request, options(dialect));
    EXPECT_TRUE(codec.encode());
    TextSink sink;
    Result<void> result;
    for (size_t at = 0; result && at < bytes.size(); at += piece) {
        result = codec.decode_chunk(bytes.substr(at, piece), sink);
    }
    if (result) {
        result = codec.end_of_stream();
    }
    EXPECT_EQ(codec.done(), result.has_value());
    return {sink.text(), result ? Error() : result.error(), codec.usage_was_suspect()};
}

Decoded decode(std::string_view bytes, const ChatRequest& request = chat_request()) {
    return decode_in_pieces(request, bytes, bytes.size() + 1);
}

std::string sse(std::string_view json) {
    return fmt::format("data: {}\n\n", json);
}

std::string delta(std::string_view content, std::string_view more = "") {
    return sse(
        fmt::format(R"({{"model":"m","choices":[{{"index":0,"delta":{}{}}}]}})", content, more));
}

const std::string kStop = delta("{}", R"(,"finish_reason":"stop")");
const std::string kDone = sse("[DONE]");

TEST(StreamDecode, EveryKindOfPieceBecomesItsEvent) {
    const Decoded got = decode(
        delta(R"({"role":"assistant","content":""})") + delta(R"({"reasoning_content":"r1"})") +
        delta(R"({"reasoning":"r2"})") +
        delta(R"({"content":"hé"})",
              R"(,"logprobs":{"content":)"
              R"([{"token":"h","logprob":-0.5,"bytes":[104],"top_logprobs":[{"token":"h",)"
              R"("logprob":-0.5,"bytes":null}]}],"refusal":null})") +
        delta(R"({"refusal":"no"})") +
        delta(R"({"tool_calls":[{"index":0,"id":"c","type":"function","function":)"
              R"({"name":"f","arguments":""}}]})") +
        delta(R"({"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]})") + ": comment\n\n" +
        delta("{}", R"(,"finish_reason":"tool_calls","unknown":{"x":[1]})") +
        sse(R"({"choices":[],"obfuscation":"xx","usage":{"prompt_tokens":9,"completion_tokens":4,)"
            R"("total_tokens":13,"prompt_tokens_details":{"cached_tokens":8},)"
            R"("completion_tokens_details":{"reasoning_tokens":2}}})") +
        kDone);
    EXPECT_EQ(got.error.message, "");
    EXPECT_EQ(got.events,
              "started(m) reasoning0(r1) reasoning0(r2) text0(hé)[h -0.5 1] refusal0(no)"
              " call0.0(c,f,) call0.0(,,{}) end0(tool_calls) usage(9,8,4,2)");
    EXPECT_FALSE(got.suspect);
}

TEST(StreamDecode, UP3_AnySplitGivesTheSameEvents) {
    const std::string stream = ": hi\r\n\r\n" + delta(R"({"content":"é😀\n"})") +
                               "data: {\"choices\":[{\"index\":0,\r\ndata: \"delta\":{\"content\":"
                               "\"b\"}}]}\r\n\r\n" +
                               kStop + "event: x\rdata: {\"choices\":[]}\r\r" + kDone;
    const std::string expected = decode(stream).events;
    EXPECT_EQ(expected, "started(m) text0(é😀\n) text0(b) end0(stop) no usage");
    for (size_t piece = 1; piece <= stream.size(); ++piece) {
        EXPECT_EQ(decode_in_pieces(chat_request(), stream, piece).events, expected) << piece;
    }
    for (size_t cut = 0; cut <= stream.size(); ++cut) {
        const ChatRequest request = chat_request();
        OpenAiCodec codec(request, options());
        TextSink sink;
        ASSERT_TRUE(codec.decode_chunk(std::string_view(stream).substr(0, cut), sink));
        ASSERT_TRUE(codec.decode_chunk(std::string_view(stream).substr(cut), sink));
        EXPECT_TRUE(codec.end_of_stream());
        EXPECT_EQ(sink.text(), expected) << cut;
    }
}

TEST(StreamDecode, UP1_ACutAtAnyByteIsAnError) {
    const std::string stream = delta(R"({"content":"a"})") + kStop + kDone;
    for (size_t length = 0; length + 1 < stream.size(); ++length) {
        const Decoded got = decode(stream.substr(0, length));
        EXPECT_EQ(got.error.code, ErrorCode::UpstreamFailed) << length;
        EXPECT_EQ(got.error.reason, "upstream_truncated") << length;
        EXPECT_EQ(got.events.find("usage"), std::string::npos) << length;
    }
}

TEST(StreamDecode, UP1_DoneWithoutAFinishReasonForEachChoiceIsAnError) {
    EXPECT_EQ(decode(delta(R"({"content":"a"})") + kDone).error.reason, "upstream_truncated");
    EXPECT_EQ(decode(kDone).error.reason, "upstream_truncated");
    ChatRequest two = chat_request();
    two.sampling.choices = 2;
    EXPECT_EQ(decode(delta(R"({"content":"a"})") + kStop + kDone, two).error.reason,
              "upstream_truncated");
    EXPECT_EQ(decode(delta("{}", R"(,"finish_reason":"abort")") + kDone).error.reason,
              "upstream_truncated");
}

TEST(StreamDecode, UP2_AnErrorInsideTheStreamIsSurfaced) {
    const std::string error =
        R"({"error":{"message":"slow down","type":"rate_limit_error","code":null}})";
    for (const std::string& tail :
         {sse(error), "event: error\n" + sse(error), error, "\n" + error + "\n",
          "event: error\n" + sse(R"({"message":"slow down","type":"rate_limit_error"})")}) {
        const Decoded got = decode(delta(R"({"content":"a"})") + tail);
        EXPECT_EQ(got.error.code, ErrorCode::RateLimited) << tail;
        EXPECT_EQ(got.error.message, "the provider answered: slow down");
        EXPECT_EQ(got.events, "started(m) text0(a)");
    }
    const Decoded pretty =
        decode("{\n  \"error\": {\n    \"message\": \"x\",\n\n\"code\": 503}\n}");
    EXPECT_EQ(pretty.error.code, ErrorCode::Overloaded);
    EXPECT_EQ(decode(R"({"choices":[]})").error.reason, "upstream_truncated");
}

TEST(StreamDecode, UP3_MalformedEventsAreTypedErrors) {
    for (const std::string& bad :
         {sse("{"), sse("nonsense"), sse(R"({"choices":5})"), sse(R"({"choices":[5]})"),
          sse(R"({"choices":[{"index":1,"delta":{"content":"x"}}]})"),
          sse(R"({"choices":[{"index":-1,"delta":{}}]})"),
          sse(R"({"choices":[{"index":0,"delta":{"content":5}}]})"),
          sse(R"({"choices":[{"index":0,"delta":"x"}]})"),
          sse(R"({"choices":[{"index":0,"delta":{"content":"\ud83d"}}]})"),
          sse("{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"\xFF\"}}]}"),
          sse(R"({"choices":[{"index":0,"delta":{"function_call":{"name":"f"}}}]})"),
          sse("[" + std::string(5000, '[') + "]"), kStop + delta(R"({"content":"late"})"),
          delta(R"({"content":"x"})", R"(,"logprobs":{"content":[{"token":"x"}]})")}) {
        const Decoded got = decode(bad + kStop + kDone);
        EXPECT_EQ(got.error.code, ErrorCode::UpstreamFailed) << bad;
        EXPECT_EQ(got.error.reason, "upstream_malformed") << bad;
    }
}

TEST(StreamDecode, UP3_ATenMegabyteLineIsRefusedEarly) {
    const Decoded got = decode("data: " + std::string(10'000'000, 'x'));
    EXPECT_EQ(got.error.reason, "sse_event_too_large");
    const Decoded raw = decode("{" + std::string(10'000'000, ' '));
    EXPECT_EQ(raw.error.reason, "upstream_truncated");
}

TEST(StreamDecode, WhatFollowsDoneIsIgnored) {
    const Decoded got = decode(kStop + kDone + sse("{") + kDone);
    EXPECT_EQ(got.error.message, "");
    EXPECT_EQ(got.events, "started(m) end0(stop) no usage");
}

TEST(StreamDecode, ImitatorsHabitsAreUnderstood) {
    // finish_reason "" before the end, and repeated with the usage; no index; "eos".
    EXPECT_EQ(decode(delta(R"({"content":"a"})", R"(,"finish_reason":"")") +
                     delta("{}", R"(,"finish_reason":"eos")") +
                     delta(R"({"content":""})", R"(,"finish_reason":"stop")") + kDone)
                  .events,
              "started(m) text0(a) end0(stop) no usage");
    EXPECT_EQ(
        decode(sse(R"({"choices":[{"delta":{"content":"a"},"finish_reason":"length"}]})") + kDone)
            .events,
        "started() text0(a) end0(length) no usage");
}

std::string calls_from(const std::vector<std::string_view>& pieces) {
    std::string stream;
    for (const std::string_view piece : pieces) {
        stream += delta(fmt::format(R"({{"tool_calls":[{}]}})", piece));
    }
    const Decoded got = decode(stream + delta("{}", R"(,"finish_reason":"tool_calls")") + kDone);
    return got.error.message.empty() ? got.events.substr(10) : got.error.message;
}

TEST(ToolCallDecode, CallsAreToldApartHoweverTheyAreNumbered) {
    const std::string end = " end0(tool_calls) no usage";
    // Interleaved, as OpenAI numbers them.
    EXPECT_EQ(calls_from({R"({"index":0,"id":"a","function":{"name":"f","arguments":""}})",
                          R"({"index":1,"id":"b","function":{"name":"g","arguments":"1"}})",
                          R"({"index":0,"function":{"arguments":"2"}})"}),
              " call0.0(a,f,) call0.1(b,g,1) call0.0(,,2)" + end);
    // From 1; id and name repeated.
    EXPECT_EQ(calls_from({R"({"index":1,"id":"a","function":{"name":"f","arguments":"1"}})",
                          R"({"index":1,"id":"a","function":{"name":"f","arguments":"2"}})"}),
              " call0.0(a,f,1) call0.0(,,2)" + end);
    // All numbered 0, told apart by id.
    EXPECT_EQ(calls_from({R"({"index":0,"id":"a","function":{"name":"f","arguments":"1"}})",
                          R"({"index":0,"id":"b","function":{"name":"f","arguments":"2"}})",
                          R"({"index":0,"function":{"arguments":"3"}})"}),
              " call0.0(a,f,1) call0.1(b,f,2) call0.1(,,3)" + end);
    // Neither number nor id: whole calls.
    EXPECT_EQ(calls_from({R"({"function":{"name":"f","arguments":"1"}})",
                          R"({"function":{"name":"g","arguments":"2"}})"}),
              " call0.0(call_7_0_0,f,1) call0.1(call_7_0_1,g,2)" + end);
    // A number that never gets a name, before one that does.
    EXPECT_EQ(calls_from({R"({"index":1})",
                          R"({"index":0,"id":"a","function":{"name":"f","arguments":"1"}})"}),
              " call0.0(a,f,1)" + end);
    // The id first, the name later.
    EXPECT_EQ(calls_from({R"({"index":0,"id":"a"})", R"({"index":0,"function":{"name":"f"}})"}),
              " call0.0(a,f,)" + end);
    EXPECT_EQ(calls_from({R"({"index":0,"id":"a","function":{"arguments":"1"}})"}).substr(0, 36),
              "the provider's answer is malformed: ");
}

TEST(ToolCallDecode, TheirNumberIsBounded) {
    std::vector<std::string> texts;
    for (int i = 0; i < 129; ++i) {
        texts.push_back(
            fmt::format(R"({{"index":{},"id":"i{}","function":{{"name":"f"}}}})", i, i));
    }
    const std::vector<std::string_view> pieces(texts.begin(), texts.end());
    EXPECT_NE(calls_from(pieces).find("more than 128"), std::string::npos);
    EXPECT_EQ(calls_from({pieces.begin(), pieces.begin() + 128}).find("malformed"),
              std::string::npos);
}

TEST(UsageDecode, UP10_WhatCannotBeTrueIsDroppedAndFlagged) {
    ChatRequest request = chat_request();
    request.sampling.tokens_max = 100;
    const auto usage = [&](std::string_view json) {
        const Decoded got = decode(
            kStop + sse(fmt::format(R"({{"choices":[],"usage":{}}})", json)) + kDone, request);
        EXPECT_EQ(got.error.message, "");
        return got.events.substr(got.events.find(" end0(stop)") + 11) +
               (got.suspect ? " suspect" : "");
    };
    EXPECT_EQ(usage(R"({"prompt_tokens":5,"completion_tokens":100})"), " usage(5,0,100,0)");
    EXPECT_EQ(usage(R"({"prompt_tokens":5,"completion_tokens":6,"prompt_cache_hit_tokens":4})"),
              " usage(5,4,6,0)");
    EXPECT_EQ(usage("null"), " no usage");
    for (const std::string_view bad :
         {"{}", "5", R"({"prompt_tokens":-1,"completion_tokens":1})",
          R"({"prompt_tokens":1,"completion_tokens":-1})",
          R"({"prompt_tokens":1.5,"completion_tokens":1})",
          R"({"prompt_tokens":"1","completion_tokens":1})",
          R"({"prompt_tokens":1,"completion_tokens":100000})",
          R"({"prompt_tokens":100000,"completion_tokens":1})",
          R"({"prompt_tokens":18446744073709551615,"completion_tokens":1})",
          R"({"prompt_tokens":1,"completion_tokens":1,"prompt_tokens_details":)"
          R"({"cached_tokens":2}})",
          R"({"prompt_tokens":1,"completion_tokens":1,"completion_tokens_details":)"
          R"({"reasoning_tokens":2}})"}) {
        EXPECT_EQ(usage(bad), " no usage suspect") << bad;
    }
}

TEST(BodyDecode, AWholeAnswerBecomesTheSameEvents) {
    const ChatRequest request = chat_request();
    OpenAiCodec codec(request, options());
    TextSink sink;
    const auto decoded = codec.decode_body(
        R"({"id":"x","model":"m","choices":[{"index":0,"finish_reason":"tool_calls","message":)"
        R"({"role":"assistant","content":"a","refusal":null,"reasoning_content":"r","tool_calls":)"
        R"([{"id":"c","type":"function","function":{"name":"f","arguments":"{}"}},)"
        R"({"id":"d","type":"function","function":{"name":"g","arguments":""}}]}}],)"
        R"("usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}})",
        sink);
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(sink.text(),
              "started(m) reasoning0(r) text0(a) call0.0(c,f,{}) call0.1(d,g,)"
              " end0(tool_calls) usage(1,0,2,0)");
    EXPECT_TRUE(codec.done());
}

TEST(BodyDecode, ABrokenAnswerGivesNoEventAtAll) {
    for (const std::string_view body :
         {"", "{}", "[]", R"({"choices":[]})", R"({"choices":[{"index":0,"message":{}}]})",
          R"({"choices":[{"index":0,"finish_reason":"stop","message":{"content":5}}]})",
          R"({"error":{"message":"x"}})", "data: {}"}) {
        const ChatRequest request = chat_request();
        OpenAiCodec codec(request, options());
        TextSink sink;
        const auto decoded = codec.decode_body(body, sink);
        ASSERT_FALSE(decoded) << body;
        EXPECT_EQ(decoded.error().code, ErrorCode::UpstreamFailed);
        EXPECT_EQ(sink.text(), "") << body;
    }
}

TEST(CompletionDecode, TextAndItsLogprobsArrive) {
    ChatRequest request;
    request.stream = true;
    request.input = chat::RawPrompts{.prompts = {"a", "b"}};
    const Decoded got = decode(
        sse(R"({"model":"m","choices":[{"index":1,"text":"xé","logprobs":{"tokens":["x",)"
            R"("bytes:\\xc3\\xa9"],"token_logprobs":[null,-2],"top_logprobs":[null,{"y":-1}],)"
            R"("text_offset":[0,1]},"finish_reason":null}]})") +
            sse(R"({"choices":[{"index":0,"text":"","finish_reason":"stop"},)"
                R"({"index":1,"text":"","finish_reason":"length"}]})") +
            kDone,
        request);
    EXPECT_EQ(got.error.message, "");
    EXPECT_EQ(got.events, "started(m) text1(xé)[x nan 0][é -2 1] end0(stop) end1(length) no usage");
}

}  // namespace
}  // namespace weir::providers
