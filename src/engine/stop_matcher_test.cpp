#include "engine/stop_matcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

namespace weir::engine {
namespace {

TEST(StopMatcher, HoldsBackWhatMayBecomeAStop) {
    StopMatcher matcher({"END"});
    EXPECT_EQ(matcher.push("text E"), "text ");
    EXPECT_EQ(matcher.push("N"), "");
    EXPECT_EQ(matcher.push("x"), "ENx");
    EXPECT_EQ(matcher.push(" EN"), " ");
    EXPECT_EQ(matcher.push("D and more"), "");
    EXPECT_TRUE(matcher.stopped());
    EXPECT_EQ(matcher.push("ignored"), "");
    EXPECT_EQ(matcher.finish(), "");
}

TEST(StopMatcher, ReleasesTheTailAtTheEnd) {
    StopMatcher matcher({"\n\n"});
    EXPECT_EQ(matcher.push("line\n"), "line");
    EXPECT_EQ(matcher.finish(), "\n");
    EXPECT_EQ(matcher.released_bytes(), 5u);
}

TEST(StopMatcher, TakesOfTwoThatEndTogetherTheOneThatBeganFirst) {
    StopMatcher matcher({"c", "abc"});
    EXPECT_EQ(matcher.push("xabc"), "x");
    EXPECT_TRUE(matcher.stopped());
}

TEST(StopMatcher, WithoutStopsEverythingIsCertain) {
    StopMatcher matcher({});
    EXPECT_EQ(matcher.push("abc"), "abc");
    EXPECT_EQ(matcher.finish(), "");
}

// Whatever the cuts: the text up to the first stop, and never a byte of it.
TEST(StopMatcher, AgreesWithASearchOfTheWholeText) {
    std::mt19937 random(7);
    const auto draw = [&](uint32_t below) {
        return static_cast<uint32_t>(random() % below);
    };
    for (int round = 0; round < 3000; ++round) {
        std::string text;
        for (uint32_t i = draw(30); i > 0; --i) {
            text += static_cast<char>('a' + draw(2));
        }
        std::vector<std::string> stops(1 + draw(3));
        for (std::string& stop : stops) {
            for (uint32_t i = 1 + draw(5); i > 0; --i) {
                stop += static_cast<char>('a' + draw(2));
            }
        }
        std::string expected = text;
        bool stops_early = false;
        for (size_t end = 1; end <= text.size() && !stops_early; ++end) {
            for (const std::string& stop : stops) {
                if (text.substr(0, end).ends_with(stop)) {
                    expected.resize(std::min(expected.size(), end - stop.size()));
                    stops_early = true;
                }
            }
        }
        StopMatcher matcher(stops);
        std::string got;
        for (size_t at = 0; at < text.size();) {
            const size_t count = std::min<size_t>(1 + draw(4), text.size() - at);
            got += matcher.push(text.substr(at, count));
            at += count;
        }
        got += matcher.finish();
        ASSERT_EQ(got, expected) << text;
        ASSERT_EQ(matcher.stopped(), stops_early) << text;
    }
}

}  // namespace
}  // namespace weir::engine
