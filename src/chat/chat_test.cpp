#include <gtest/gtest.h>

#include "chat/backend.h"

namespace weir::chat {
namespace {

TEST(Label, OrderIsThatOfSensitivityAndNamesComeBack) {
    EXPECT_LT(Label::Public, Label::Internal);
    EXPECT_LT(Label::Internal, Label::Confidential);
    EXPECT_LT(Label::Confidential, Label::Restricted);
    for (const Label label :
         {Label::Public, Label::Internal, Label::Confidential, Label::Restricted}) {
        EXPECT_EQ(label_from(name(label)), label);
    }
    EXPECT_EQ(label_from("secret"), std::nullopt);
    EXPECT_EQ(label_from("Public"), std::nullopt);
}

TEST(ChatRequest, EveryPromptMakesItsChoices) {
    ChatRequest request;
    request.sampling.choices = 3;
    EXPECT_EQ(choice_count(request), 3u);
    request.input = RawPrompts{.prompts = {"a", "b"}};
    EXPECT_EQ(choice_count(request), 6u);
}

}  // namespace
}  // namespace weir::chat
