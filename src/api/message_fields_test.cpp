#include <gtest/gtest.h>

#include "api/openai_chat.h"

namespace weir::api {
namespace {

using chat::ContentPart;
using chat::Conversation;
using chat::Role;

Result<Conversation> parse(std::string_view messages, std::string_view more = "") {
    WEIR_TRY_ASSIGN(
        const chat::ChatRequest request,
        parse_chat_request(fmt::format(R"({{"model":"m","messages":{}{}}})", messages, more), {}));
    return std::get<Conversation>(request.input);
}

std::string refused_field(std::string_view messages, std::string_view more = "") {
    const auto found = parse(messages, more);
    return found ? "" : found.error().field;
}

constexpr std::string_view kHello = R"([{"role":"user","content":"hi"}])";

TEST(Messages, EveryRoleWithEverythingItCanHave) {
    const auto found = parse(
        R"([{"role":"system","content":"s","name":"rules"},)"
        R"({"role":"developer","content":[{"type":"text","text":"d"}]},)"
        R"({"role":"user","content":[{"type":"text","text":"u","prompt_cache_breakpoint":)"
        R"({"mode":"explicit"}},{"type":"image_url","image_url":{"url":"data:x","detail":"low"}},)"
        R"({"type":"input_audio","input_audio":{"data":"AA","format":"wav"}},)"
        R"({"type":"file","file":{"file_id":"f"}}]},)"
        R"({"role":"assistant","content":null,"reasoning_content":"r","tool_calls":[)"
        R"({"id":"c1","type":"function","function":{"name":"f","arguments":"{\"a\":1}"}}]},)"
        R"({"role":"tool","tool_call_id":"c1","content":"t"},)"
        R"({"role":"assistant","content":[{"type":"refusal","refusal":"no"}],"annotations":[]},)"
        R"({"role":"assistant","refusal":"never","audio":null,"function_call":null}])");
    ASSERT_TRUE(found) << found.error().message;
    const std::vector<chat::Message>& m = found->messages;
    ASSERT_EQ(m.size(), 7u);
    EXPECT_EQ(m[0].role, Role::System);
    EXPECT_EQ(m[0].name, "rules");
    EXPECT_FALSE(m[0].content_was_array);
    EXPECT_EQ(m[1].role, Role::Developer);
    EXPECT_TRUE(m[1].content_was_array);
    ASSERT_EQ(m[2].content.size(), 4u);
    EXPECT_EQ(m[2].content[0].text, "u");
    EXPECT_EQ(m[2].content[1].kind, ContentPart::Kind::Image);
    EXPECT_EQ(m[2].content[1].text,
              R"({"type":"image_url","image_url":{"url":"data:x","detail":"low"}})");
    EXPECT_EQ(m[2].content[2].kind, ContentPart::Kind::Audio);
    EXPECT_EQ(m[2].content[3].kind, ContentPart::Kind::File);
    EXPECT_TRUE(m[3].content.empty());
    EXPECT_EQ(m[3].reasoning, "r");
    ASSERT_EQ(m[3].tool_calls.size(), 1u);
    EXPECT_EQ(m[3].tool_calls[0].arguments, R"({"a":1})");
    EXPECT_EQ(m[4].tool_call_id, "c1");
    EXPECT_EQ(m[5].content[0].kind, ContentPart::Kind::Refusal);
    EXPECT_EQ(m[6].content[0].text, "never");
}

TEST(Messages, WhatIsMalformedIsNamed) {
    struct Case {
        std::string_view messages;
        std::string_view field;
    };
    constexpr Case kCases[] = {
        {"[]", "messages"},
        {R"("hi")", "messages"},
        {R"([1])", "messages[0]"},
        {R"([{"content":"x"}])", "messages[0].role"},
        {R"([{"role":"function","name":"f","content":"x"}])", "messages[0].role"},
        {R"([{"role":"robot","content":"x"}])", "messages[0].role"},
        {R"([{"role":"user"}])", "messages[0].content"},
        {R"([{"role":"user","content":null}])", "messages[0].content"},
        {R"([{"role":"user","content":[]}])", "messages[0].content"},
        {R"([{"role":"user","content":5}])", "messages[0].content"},
        {R"([{"role":"user","content":"x","extra":1}])", "messages[0].extra"},
        {R"([{"role":"user","content":"x","tool_calls":[]}])", "messages[0].tool_calls"},
        {R"([{"role":"user","content":"x","name":"a b"}])", "messages[0].name"},
        {R"([{"role":"user","content":"x","name":"<|x"}])", "messages[0].name"},
        {R"([{"role":"assistant"}])", "messages[0].content"},
        {R"([{"role":"assistant","content":"x","audio":{"id":"a"}}])", "messages[0].audio"},
        {R"([{"role":"assistant","content":"x","function_call":{"name":"f","arguments":""}}])",
         "messages[0].function_call"},
        {R"([{"role":"assistant","content":"x","reasoning":"a","reasoning_content":"b"}])",
         "messages[0].reasoning"},
        {R"([{"role":"assistant","tool_calls":[{"id":"c","type":"custom"}]}])",
         "messages[0].tool_calls[0].type"},
        {R"([{"role":"assistant","tool_calls":[{"id":"","type":"function"}]}])",
         "messages[0].tool_calls[0].id"},
        {R"([{"role":"assistant","tool_calls":[{"id":"c","type":"function"}]}])",
         "messages[0].tool_calls[0].function"},
        {R"([{"role":"tool","content":"x"}])", "messages[0].tool_call_id"},
        {R"([{"role":"user","content":[{"type":"text"}]}])", "messages[0].content[0].text"},
        {R"([{"role":"user","content":[{"type":"video"}]}])", "messages[0].content[0].type"},
        {R"([{"role":"user","content":[{"type":"refusal","refusal":"x"}]}])",
         "messages[0].content[0].type"},
        {R"([{"role":"user","content":[{"type":"image_url","image_url":"u"}]}])",
         "messages[0].content[0].image_url"},
        {R"([{"role":"user","content":[{"type":"image_url","image_url":{"url":"u","x":1}}]}])",
         "messages[0].content[0].image_url.x"},
        {R"([{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"A",)"
         R"("format":"ogg"}}]}])",
         "messages[0].content[0].input_audio.format"},
    };
    for (const Case& row : kCases) {
        EXPECT_EQ(refused_field(row.messages), row.field) << row.messages;
    }
}

TEST(Messages, AP7_ImagesAreForUsersOnly) {
    for (const std::string_view role : {"system", "developer", "assistant", "tool"}) {
        EXPECT_EQ(refused_field(fmt::format(
                      R"([{{"role":"{}","tool_call_id":"c","content":[{{"type":"image_url",)"
                      R"("image_url":{{"url":"data:x"}}}}]}}])",
                      role)),
                  "messages[0].content[0].type")
            << role;
    }
}

TEST(Messages, TheirNumberIsBounded) {
    std::string many = "[";
    for (size_t i = 0; i <= ApiLimits().messages_max; ++i) {
        many += i == 0 ? "" : ",";
        many += R"({"role":"user","content":""})";
    }
    EXPECT_EQ(refused_field(many + "]"), "messages");
}

TEST(Tools, FunctionsTheirChoiceAndTheirSchemasArrive) {
    const auto found = parse(
        kHello, R"(,"tools":[{"type":"function","function":{"name":"get","description":"d",)"
                R"("parameters":{"type":"object","properties":{"b":{},"a":{}}},"strict":true}},)"
                R"({"type":"function","function":{"name":"f-2_"}}],"parallel_tool_calls":false,)"
                R"("tool_choice":{"type":"function","function":{"name":"f-2_"}})");
    ASSERT_TRUE(found) << found.error().message;
    ASSERT_EQ(found->tools.size(), 2u);
    EXPECT_EQ(found->tools[0].parameters, R"({"type":"object","properties":{"b":{},"a":{}}})");
    EXPECT_EQ(found->tools[0].strict, true);
    EXPECT_EQ(found->tools[1].parameters, std::nullopt);
    EXPECT_EQ(found->tool_choice->mode, chat::ToolChoice::Mode::Named);
    EXPECT_EQ(found->tool_choice->name, "f-2_");
    EXPECT_EQ(found->parallel_tool_calls, false);
}

TEST(Tools, WhatIsMalformedOrNotOfferedIsNamed) {
    struct Case {
        std::string_view members;
        std::string_view field;
    };
    constexpr std::string_view kOne = R"("tools":[{"type":"function","function":{"name":"f"}}],)";
    constexpr Case kCases[] = {
        {R"("tools":[])", ""},
        {R"("tools":[{"type":"custom","custom":{"name":"f"}}])", "tools[0].type"},
        {R"("tools":[{"type":"function"}])", "tools[0].function"},
        {R"("tools":[{"type":"function","function":{"name":"a b"}}])", "tools[0].function.name"},
        {R"("tools":[{"type":"function","function":{"name":""}}])", "tools[0].function.name"},
        {R"("tools":[{"type":"function","function":{"name":"f","parameters":[]}}])",
         "tools[0].function.parameters"},
        {R"("tools":[{"type":"function","function":{"name":"f"}},)"
         R"({"type":"function","function":{"name":"f"}}])",
         "tools[1].function.name"},
        {R"("tool_choice":"required")", "tool_choice"},
        {R"("tool_choice":"any")", "tool_choice"},
        {R"("tool_choice":{"type":"function","function":{"name":"g"}})",
         "tool_choice.function.name"},
        {R"("tool_choice":{"type":"allowed_tools","allowed_tools":{"mode":"auto","tools":[]}})",
         "tool_choice.type"},
        {R"("tool_choice":{"type":"custom","custom":{"name":"g"}})", "tool_choice.type"},
    };
    for (const Case& row : kCases) {
        EXPECT_EQ(refused_field(kHello, fmt::format(",{}", row.members)), row.field) << row.members;
    }
    EXPECT_EQ(refused_field(kHello, fmt::format(",{}\"tool_choice\":\"required\"", kOne)), "");
    std::string many;
    for (int i = 0; i < 129; ++i) {
        many += fmt::format(R"({}{{"type":"function","function":{{"name":"f{}"}}}})",
                            i == 0 ? "" : ",", i);
    }
    EXPECT_EQ(refused_field(kHello, fmt::format(",\"tools\":[{}]", many)), "tools");
}

TEST(ResponseFormat, ItsThreeFormsArriveAndOthersAreNamed) {
    const auto format = [](std::string_view value) {
        return parse_chat_request(
            fmt::format(R"({{"model":"m","messages":{},"response_format":{}}})", kHello, value),
            {});
    };
    const auto schema =
        format(R"({"type":"json_schema","json_schema":{"name":"n","description":"d","strict":true,)"
               R"("schema":{"type":"object"}}})");
    ASSERT_TRUE(schema) << schema.error().message;
    EXPECT_EQ(schema->response_format->kind, chat::ResponseFormat::Kind::JsonSchema);
    EXPECT_EQ(schema->response_format->schema, R"({"type":"object"})");
    EXPECT_EQ(schema->response_format->strict, true);
    EXPECT_EQ(format(R"({"type":"text"})")->response_format->kind,
              chat::ResponseFormat::Kind::Text);
    EXPECT_EQ(format(R"({"type":"grammar"})").error().field, "response_format.type");
    EXPECT_EQ(format(R"({"type":"json_schema"})").error().field, "response_format.json_schema");
    EXPECT_EQ(format(R"({"type":"json_schema","json_schema":{"name":"n","x":1}})").error().field,
              "response_format.json_schema.x");
    EXPECT_EQ(format(R"({"type":"text","x":1})").error().field, "response_format.x");
}

}  // namespace
}  // namespace weir::api
