#include "text/template_source.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace weir::text {
namespace {

using ::testing::HasSubstr;

TEST(TemplateSource, TheFirstFileThatHasOneCounts) {
    const TemplateFiles all{.chat_template_jinja = "jinja",
                            .tokenizer_config_json = R"({"chat_template": "config"})",
                            .chat_template_json = R"({"chat_template": "json"})"};
    EXPECT_EQ(*find_chat_template(all), "jinja");
    TemplateFiles two = all;
    two.chat_template_jinja = {};
    EXPECT_EQ(*find_chat_template(two), "config");
    two.tokenizer_config_json = R"({"bos_token": "<s>", "chat_template": null})";
    EXPECT_EQ(*find_chat_template(two), "json");
}

TEST(TemplateSource, AFolderWithOnlyChatTemplateJsonHasATemplate) {
    EXPECT_EQ(*find_chat_template({.chat_template_json = R"({"chat_template": "{{ messages }}"})"}),
              "{{ messages }}");
    EXPECT_EQ(*find_chat_template({}), "");
}

TEST(TemplateSource, OfNamedTemplatesTheDefaultCounts) {
    const auto found = find_chat_template(
        {.tokenizer_config_json = R"({"chat_template": [{"name": "rag", "template": "r"},
            {"name": "default", "template": "d"}]})"});
    EXPECT_EQ(*found, "d");
}

TEST(TemplateSource, AModelMayHaveAnotherOneForTools) {
    TemplateFiles files{.tokenizer_config_json = R"({"chat_template": [
        {"name": "default", "template": "d"}, {"name": "tool_use", "template": "t"}]})"};
    EXPECT_EQ(*find_chat_template(files, TemplateUse::Tools), "t");
    files.tool_use_jinja = "own";
    EXPECT_EQ(*find_chat_template(files, TemplateUse::Tools), "own");
    EXPECT_EQ(*find_chat_template(files), "d");
    files.tool_use_jinja = {};
    files.chat_template_jinja = "newer";  // is there instead of the list, as in transformers
    EXPECT_EQ(*find_chat_template(files, TemplateUse::Tools), "");
    EXPECT_EQ(*find_chat_template({.tokenizer_config_json = R"({"chat_template": "d"})"},
                                  TemplateUse::Tools),
              "");
}

TEST(TemplateSource, ErrorsNameTheFileAndAreItsFault) {
    const auto broken = find_chat_template({.chat_template_json = R"({"chat_template": 1})"});
    ASSERT_FALSE(broken);
    EXPECT_EQ(broken.error().code, ErrorCode::DataCorrupt);
    EXPECT_THAT(broken.error().message, HasSubstr("chat_template.json"));
    EXPECT_FALSE(find_chat_template({.tokenizer_config_json = "{"}));
}

}  // namespace
}  // namespace weir::text
