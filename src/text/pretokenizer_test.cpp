#include "text/pretokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

namespace weir::text {
namespace {

using ::testing::ElementsAre;

std::vector<std::string> pieces(Splitter splitter, std::string_view text) {
    std::vector<uint32_t> ends;
    PreTokenizer({splitter}).split(text, ends);
    std::vector<std::string> out;
    uint32_t begin = 0;
    for (const uint32_t end : ends) {
        out.emplace_back(text.substr(begin, end - begin));
        begin = end;
    }
    return out;
}

TEST(PreTokenizer, Gpt2KeepsASpaceWithTheWordBehindIt) {
    EXPECT_THAT(pieces(Splitter::Gpt2, "I'm  here, 123!"),
                ElementsAre("I", "'m", " ", " here", ",", " 123", "!"));
}

}  // namespace
}  // namespace weir::text
