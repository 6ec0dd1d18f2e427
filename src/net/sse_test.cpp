#include "net/sse.h"

#include <gmock/gmock.h>

#include <tuple>
#include <vector>

namespace weir::net {
namespace {

using Event = std::tuple<std::string, std::string, std::string>;  // type, data, id
using testing::ElementsAre;
using testing::IsEmpty;

std::vector<Event> read_in_pieces(std::string_view stream, size_t piece) {
    SseParser parser;
    std::vector<Event> events;
    for (size_t at = 0; at < stream.size(); at += piece) {
        const auto fed = parser.feed(stream.substr(at, piece), [&](const SseEvent& event) {
            events.emplace_back(event.type, event.data, event.id);
            return Result<void>();
        });
        EXPECT_TRUE(fed) << fed.error().message;
    }
    return events;
}

std::vector<Event> read(std::string_view stream) {
    return read_in_pieces(stream, std::max<size_t>(stream.size(), 1));
}

TEST(Sse, ReadsOneEventPerBlankLine) {
    EXPECT_THAT(read("data: a\n\ndata: b\n\n"),
                ElementsAre(Event("", "a", ""), Event("", "b", "")));
}

TEST(Sse, JoinsDataLinesAndKeepsTypeAndId) {
    EXPECT_THAT(read("event: delta\nid: 7\ndata: one\ndata: two\n\n"),
                ElementsAre(Event("delta", "one\ntwo", "7")));
}

TEST(Sse, RemovesOneSpaceAfterTheColonOnly) {
    EXPECT_THAT(read("data:  a\n\ndata:b\n\ndata\n\n"),
                ElementsAre(Event("", " a", ""), Event("", "b", ""), Event("", "", "")));
}

TEST(Sse, IgnoresCommentsUnknownFieldsAndEventsWithoutData) {
    EXPECT_THAT(read(": ping\n\nretry: 10\nfoo: bar\n\nevent: x\n\ndata: a\n\n"),
                ElementsAre(Event("", "a", "")));
}

TEST(Sse, SkipsAByteOrderMarkAtTheBeginningOnly) {
    EXPECT_THAT(read("\xEF\xBB\xBF"
                     "data: a\n\n\xEF\xBB\xBF"
                     "data: b\n\n"),
                ElementsAre(Event("", "a", "")));
}

TEST(Sse, DropsAnEventThatDoesNotEnd) {
    SseParser parser;
    int events = 0;
    const auto count = [&](const SseEvent&) {
        ++events;
        return Result<void>();
    };
    ASSERT_TRUE(parser.feed("data: a\n", count));
    EXPECT_EQ(events, 0);
    EXPECT_TRUE(parser.has_partial_event());
    ASSERT_TRUE(parser.feed("\n", count));
    EXPECT_EQ(events, 1);
    EXPECT_FALSE(parser.has_partial_event());
}

TEST(Sse, UP3_TheSameEventsHoweverTheBytesAreCut) {
    const std::string stream =
        "\xEF\xBB\xBF"
        "event: a\r\ndata: gr\xC3\xBC\xC3\x9F \xF0\x9F\x8C\x8A\r\ndata: zwei\r\n\r\n"
        ": comment\rdata: mac\r\r"
        "data: unix\n\nid: 1\r\ndata: mixed\n\r\n";
    const std::vector<Event> whole = read(stream);
    ASSERT_EQ(whole.size(), 4u);
    EXPECT_EQ(std::get<1>(whole[0]), "gr\xC3\xBC\xC3\x9F \xF0\x9F\x8C\x8A\nzwei");
    for (size_t piece = 1; piece <= stream.size(); ++piece) {
        EXPECT_EQ(read_in_pieces(stream, piece), whole) << "pieces of " << piece;
    }
}

TEST(Sse, UP3_AnEventOverTheLimitIsATypedError) {
    SseParser parser({.event_bytes_max = 64});
    const auto ignore = [](const SseEvent&) {
        return Result<void>();
    };
    ASSERT_TRUE(parser.feed("data: " + std::string(58, 'x'), ignore));
    const auto over = parser.feed("y", ignore);
    ASSERT_FALSE(over);
    EXPECT_EQ(over.error().code, ErrorCode::UpstreamFailed);
    EXPECT_EQ(over.error().reason, "sse_event_too_large");
}

TEST(Sse, UP3_ManyShortLinesOfOneEventCountTogether) {
    SseParser parser({.event_bytes_max = 64});
    const auto ignore = [](const SseEvent&) {
        return Result<void>();
    };
    Result<void> fed;
    for (int line = 0; line < 20 && fed; ++line) {
        fed = parser.feed("data: x\n", ignore);
    }
    EXPECT_FALSE(fed);
}

TEST(Sse, KeepAliveCommentsNeverAddUp) {
    SseParser parser({.event_bytes_max = 64});
    const auto ignore = [](const SseEvent&) {
        return Result<void>();
    };
    for (int line = 0; line < 100; ++line) {
        ASSERT_TRUE(parser.feed(": processing\n", ignore));
    }
}

TEST(Sse, StopsWithTheErrorOfTheReceiver) {
    SseParser parser;
    const auto fed = parser.feed("data: a\n\ndata: b\n\n", [](const SseEvent&) -> Result<void> {
        return data_corrupt("no");
    });
    ASSERT_FALSE(fed);
    EXPECT_EQ(fed.error().message, "no");
}

TEST(Sse, WhatIsWrittenIsReadBack) {
    std::string out;
    append_sse_data(out, "{\"a\":1}");
    append_sse_data(out, "two\nlines\r\nthree\rfour");
    append_sse_data(out, "");
    append_sse_comment(out, "ping\n\ndata: forged");
    append_sse_event(out, "done\ndata: forged", "x");
    EXPECT_THAT(read(out),
                ElementsAre(Event("", "{\"a\":1}", ""), Event("", "two\nlines\nthree\nfour", ""),
                            Event("", "", ""), Event("donedata: forged", "x", "")));
}

TEST(Sse, AnEmptyStreamHasNoEvent) {
    EXPECT_THAT(read(""), IsEmpty());
}

}  // namespace
}  // namespace weir::net
