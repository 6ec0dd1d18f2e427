#include "api/openai_reply.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace weir::api {
namespace {

using chat::ChatEvent;
using chat::FinishReason;

const ReplyHead kHead{.id = "7", .model = "m", .created = 5};

chat::ChatRequest chat_request() {
    chat::ChatRequest request;
    request.input = chat::Conversation{};
    return request;
}

chat::ChatRequest completion_request() {
    chat::ChatRequest request;
    request.input = chat::RawPrompts{.prompts = {"p"}};
    return request;
}

std::string streamed(const chat::ChatRequest& request, const std::vector<ChatEvent>& events) {
    const auto writer = make_stream_writer(request, kHead);
    std::string out;
    for (const ChatEvent& event : events) {
        writer->append(event, out);
    }
    return out;
}

std::string whole(const chat::ChatRequest& request, const std::vector<ChatEvent>& events) {
    ReplyCollector collector(chat::choice_count(request));
    for (const ChatEvent& event : events) {
        const auto added = collector.add(event);
        if (!added) {
            return added.error().message;
        }
    }
    return collector.complete() ? reply_json(request, kHead, collector.reply()) : "incomplete";
}

const chat::Usage kUsage{
    .prompt_tokens = 3, .cached_tokens = 2, .completion_tokens = 4, .reasoning_tokens = 1};
constexpr std::string_view kUsageJson =
    R"({"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,)"
    R"("prompt_tokens_details":{"cached_tokens":2},)"
    R"("completion_tokens_details":{"reasoning_tokens":1}})";

TEST(ChatReply, WholeAnswerHasEveryPart) {
    chat::ChatRequest request = chat_request();
    request.sampling.logprobs = 1;
    const std::string json =
        whole(request, {chat::Started{"up", "fp"}, chat::ReasoningDelta{0, "think"},
                        chat::TextDelta{0, "he", {{"he", -0.5f, {{"he", -0.5f}}}}},
                        chat::TextDelta{0, "é", {{"\xC3", -1.25f, {}}, {"\xA9", -2, {}}}},
                        chat::ChoiceFinished{0, FinishReason::Length}, chat::Finished{kUsage}});
    EXPECT_EQ(json,
              R"({"id":"chatcmpl-7","object":"chat.completion","created":5,"model":"m",)"
              R"("system_fingerprint":"fp","choices":[{"index":0,"message":{"role":"assistant",)"
              R"("content":"heé","refusal":null,"reasoning_content":"think"},"logprobs":)"
              R"({"content":[{"token":"he","logprob":-0.5,"bytes":[104,101],"top_logprobs":)"
              R"([{"token":"he","logprob":-0.5,"bytes":[104,101]}]},)"
              R"({"token":"\\xc3","logprob":-1.25,"bytes":[195],"top_logprobs":[]},)"
              R"({"token":"\\xa9","logprob":-2,"bytes":[169],"top_logprobs":[]}],)"
              R"("refusal":null},"finish_reason":"length"}],"usage":)" +
                  std::string(kUsageJson) + "}");
}

TEST(ChatReply, ToolCallsAreJoinedAndContentIsNull) {
    const std::string json = whole(
        chat_request(),
        {chat::ToolCallDelta{0, 0, "c1", "f", ""}, chat::ToolCallDelta{0, 0, "", "", "{\"a\""},
         chat::ToolCallDelta{0, 1, "c2", "g", "{}"}, chat::ToolCallDelta{0, 0, "", "", ":1}"},
         chat::ChoiceFinished{0, FinishReason::ToolCalls}, chat::Finished{}});
    EXPECT_NE(json.find(R"("content":null,"refusal":null,"tool_calls":[{"id":"c1",)"
                        R"("type":"function","function":{"name":"f","arguments":"{\"a\":1}"}},)"
                        R"({"id":"c2","type":"function","function":{"name":"g",)"
                        R"("arguments":"{}"}}])"),
              std::string::npos)
        << json;
    EXPECT_EQ(json.find("usage"), std::string::npos);
}

TEST(ChatReply, BrokenEventsNeverMakeAnAnswer) {
    EXPECT_EQ(whole(chat_request(), {chat::Finished{}}),
              "the answer ended before each of its choices did");
    EXPECT_EQ(whole(chat_request(), {chat::TextDelta{1, "x", {}}}),
              "the answer has a piece that belongs to no choice");
    EXPECT_EQ(whole(chat_request(), {chat::ToolCallDelta{0, 4'000'000'000u, "a", "b", ""}}),
              "the answer's tool calls are out of order");
    EXPECT_EQ(whole(chat_request(), {make_error(ErrorCode::Overloaded, "full")}), "full");
    ReplyCollector small(1, {.bytes_max = 3});
    EXPECT_TRUE(small.add(chat::TextDelta{0, "abc", {}}));
    EXPECT_EQ(small.add(chat::TextDelta{0, "d", {}}).error().code, ErrorCode::TooLarge);
}

TEST(ChatStream, RoleThenDeltasThenFinishThenUsageThenDone) {
    chat::ChatRequest request = chat_request();
    request.include_usage = true;
    const std::string head =
        R"(data: {"id":"chatcmpl-7","object":"chat.completion.chunk","created":5,"model":"m",)";
    const auto chunk = [&](std::string_view delta, std::string_view finish) {
        return fmt::format(
            "{}\"choices\":[{{\"index\":0,\"delta\":{},\"logprobs\":null,\"finish_reason\":{}}}],"
            "\"usage\":null}}\n\n",
            head, delta, finish);
    };
    EXPECT_EQ(
        streamed(
            request,
            {chat::Started{"up", {}}, chat::TextDelta{0, "", {}}, chat::TextDelta{0, "hi\n", {}},
             chat::RefusalDelta{0, "no"}, chat::ReasoningDelta{0, "r"},
             chat::ToolCallDelta{0, 0, "c", "f", ""}, chat::ToolCallDelta{0, 0, "", "", "{}"},
             chat::ChoiceFinished{0, FinishReason::ToolCalls}, chat::Finished{kUsage}}),
        chunk(R"({"role":"assistant","content":"","refusal":null})", "null") +
            chunk(R"({"content":"hi\n"})", "null") + chunk(R"({"refusal":"no"})", "null") +
            chunk(R"({"reasoning_content":"r"})", "null") +
            chunk(R"({"tool_calls":[{"index":0,"id":"c","type":"function",)"
                  R"("function":{"name":"f","arguments":""}}]})",
                  "null") +
            chunk(R"({"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]})", "null") +
            chunk("{}", R"("tool_calls")") +
            fmt::format("{}\"choices\":[],\"usage\":{}}}\n\ndata: [DONE]\n\n", head, kUsageJson));
}

TEST(ChatStream, UsageComesOnlyWhenAskedForAndKnown) {
    const std::vector<ChatEvent> events = {chat::ChoiceFinished{0, FinishReason::Stop},
                                           chat::Finished{kUsage}};
    EXPECT_EQ(streamed(chat_request(), events).find("usage"), std::string::npos);
    chat::ChatRequest request = chat_request();
    request.include_usage = true;
    EXPECT_EQ(streamed(request, {chat::ChoiceFinished{0, FinishReason::Stop}, chat::Finished{}})
                  .find("\"choices\":[]"),
              std::string::npos);
}

TEST(ChatStream, UP1_AnEndBeforeEveryChoiceHasEndedIsAnError) {
    chat::ChatRequest request = chat_request();
    request.sampling.choices = 2;
    for (const std::vector<ChatEvent>& events : std::vector<std::vector<ChatEvent>>{
             {chat::ChoiceFinished{0, FinishReason::Stop}, chat::Finished{}},
             {chat::TextDelta{0, "x", {}}, make_error(ErrorCode::UpstreamFailed, "cut")},
             {chat::TextDelta{2, "x", {}}, chat::Finished{}},
             {chat::ChoiceFinished{0, FinishReason::Stop}, chat::TextDelta{0, "x", {}}}}) {
        const std::string out = streamed(request, events);
        EXPECT_NE(out.find("data: {\"error\":"), std::string::npos) << out;
        EXPECT_EQ(out.find("[DONE]"), std::string::npos) << out;
    }
}

TEST(ChatStream, LogprobsOfATokenWithoutAWholeCharacterAreSent) {
    chat::ChatRequest request = chat_request();
    request.sampling.logprobs = 0;
    const std::string out = streamed(request, {chat::TextDelta{0, "", {{"\xC3", -1, {}}}}});
    EXPECT_NE(out.find(R"("delta":{"content":""},"logprobs":{"content":[{"token":"\\xc3")"),
              std::string::npos)
        << out;
}

TEST(CompletionReply, LogprobsHaveTheOldShape) {
    chat::ChatRequest request = completion_request();
    request.sampling.logprobs = 2;
    const float infinity = std::numeric_limits<float>::infinity();
    const float nan = std::nanf("");
    const std::string json =
        whole(request, {chat::TextDelta{0, "aé", {{"a", nan, {}}, {"\xC3", -1, {{"b", -0.5f}}}}},
                        chat::TextDelta{0, "z", {{"\xA9", -infinity, {}}, {"z", -1, {{"z", -1}}}}},
                        chat::ChoiceFinished{0, FinishReason::ToolCalls}, chat::Finished{}});
    EXPECT_EQ(json,
              R"({"id":"cmpl-7","object":"text_completion","created":5,"model":"m","choices":)"
              R"([{"index":0,"text":"aéz","logprobs":{"tokens":["a","bytes:\\xc3",)"
              R"("bytes:\\xa9","z"],"token_logprobs":[null,-1,-9999.0,-1],"top_logprobs":)"
              R"([null,{"b":-0.5,"bytes:\\xc3":-1},{"bytes:\\xa9":-9999.0},{"z":-1}],)"
              R"("text_offset":[0,1,2,2]},"finish_reason":"stop"}]})");
}

TEST(CompletionStream, OffsetsGoOnFromPieceToPiece) {
    chat::ChatRequest request = completion_request();
    request.sampling.logprobs = 0;
    const std::string out =
        streamed(request, {chat::TextDelta{0, "ab", {{"ab", -1, {}}}},
                           chat::TextDelta{0, "c", {{"c", -1, {}}}},
                           chat::ChoiceFinished{0, FinishReason::Stop}, chat::Finished{}});
    EXPECT_NE(out.find(R"("text_offset":[0])"), std::string::npos);
    EXPECT_NE(out.find(R"("text_offset":[2])"), std::string::npos);
    EXPECT_TRUE(
        out.ends_with("\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"stop\"}]}\n\n"
                      "data: [DONE]\n\n"))
        << out;
    EXPECT_NE(streamed(completion_request(), {chat::ReasoningDelta{0, "x"}}).find("error"),
              std::string::npos);
}

}  // namespace
}  // namespace weir::api
