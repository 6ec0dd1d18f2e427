#include "server/replay_sink.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace weir::server {
namespace {

class Kept final : public chat::ChatSink {
  public:
    void on_event(chat::ChatEvent event) override {
        if (const auto* delta = std::get_if<chat::TextDelta>(&event)) {
            text += delta->text;
        }
        ++count;
    }
    std::string text;
    int count = 0;
};

void tell(ReplaySink& sink, std::vector<std::string> words) {
    sink.on_event(chat::Started{});
    for (std::string& word : words) {
        sink.on_event(chat::TextDelta{.text = std::move(word)});
    }
}

TEST(ReplaySink, WhatIsToldAgainIsHeardOnce) {
    const auto kept = std::make_shared<Kept>();
    ReplaySink sink(kept);
    tell(sink, {"a", "b"});
    sink.rewind();
    tell(sink, {"a", "b", "c"});
    sink.rewind();
    tell(sink, {"a", "b", "c", "d"});
    sink.on_event(chat::Finished{});
    EXPECT_EQ(kept->text, "abcd");
    EXPECT_EQ(kept->count, 6);
    EXPECT_FALSE(sink.diverged());
}

TEST(ReplaySink, AnotherStoryIsNoticedAndNotPassedOn) {
    const auto kept = std::make_shared<Kept>();
    ReplaySink sink(kept);
    tell(sink, {"a", "b"});
    sink.rewind();
    tell(sink, {"a", "x", "c"});
    EXPECT_TRUE(sink.diverged());
    EXPECT_EQ(kept->text, "ab");
}

TEST(ReplaySink, AShorterStoryIsNoticed) {
    const auto kept = std::make_shared<Kept>();
    ReplaySink sink(kept);
    tell(sink, {"a", "b"});
    sink.rewind();
    tell(sink, {"a"});
    sink.on_event(chat::Finished{});
    EXPECT_TRUE(sink.diverged());
}

}  // namespace
}  // namespace weir::server
