#include "text/jinja/marked_text.h"

#include <gtest/gtest.h>

#include <random>

namespace weir::text::jinja {
namespace {

TEST(MarkedText, KeepsTheMarkOfEveryByte) {
    std::mt19937 random(7);
    for (int round = 0; round < 200; ++round) {
        MarkedText text;
        std::string bytes;
        std::vector<Trust> marks;
        for (int piece = 0; piece < 8; ++piece) {
            const Trust trust = random() % 2 == 0 ? Trust::Data : Trust::Template;
            const std::string more(random() % 4, static_cast<char>('a' + random() % 26));
            text.append(more, trust);
            bytes += more;
            marks.insert(marks.end(), more.size(), trust);
        }
        const size_t from = bytes.empty() ? 0 : random() % bytes.size();
        const size_t to = from + random() % (bytes.size() - from + 1);
        MarkedText twice = text.slice(from, to);
        twice.append(text);
        EXPECT_EQ(twice.bytes(), bytes.substr(from, to - from) + bytes);
        std::vector<Trust> expected(marks.begin() + static_cast<ptrdiff_t>(from),
                                    marks.begin() + static_cast<ptrdiff_t>(to));
        expected.insert(expected.end(), marks.begin(), marks.end());
        for (size_t i = 0; i < twice.size(); ++i) {
            ASSERT_EQ(twice.trust_at(i), expected[i]) << i;
        }
    }
}

TEST(MarkedText, RunsAreMaximal) {
    MarkedText text;
    text.append("ab", Trust::Data);
    text.append("", Trust::Template);
    text.append("c", Trust::Data);
    text.append("d", Trust::Template);
    std::string runs;
    text.for_each_run(0, text.size(),
                      [&](std::string_view run, Trust) { runs += std::string(run) + "|"; });
    EXPECT_EQ(runs, "abc|d|");
}

}  // namespace
}  // namespace weir::text::jinja
