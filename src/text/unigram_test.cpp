#include "text/unigram.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <random>
#include <string>

#include "text/charsmap.h"
#include "text/wordpiece.h"

namespace weir::text {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

constexpr TokenId kUnknown = 99;

std::unique_ptr<Unigram> model_of(const std::vector<Unigram::Token>& tokens, double unknown_score) {
    auto model = Unigram::create({.unknown = kUnknown, .unknown_score = unknown_score}, tokens, {});
    EXPECT_TRUE(model);
    return *std::move(model);
}

std::vector<TokenId> encode(const TokenModel& model, std::string_view text) {
    std::vector<TokenId> ids;
    EncodeScratch scratch;
    const Piece whole{0, static_cast<uint32_t>(text.size())};
    EXPECT_TRUE(model.encode(text, {&whole, 1}, ids, scratch));
    return ids;
}

// The best score of all ways to write the text, tried one by one.
double best_score(const std::map<std::string, double>& scores, std::string_view text,
                  double unknown) {
    if (text.empty()) {
        return 0;
    }
    double best = unknown + best_score(scores, text.substr(1), unknown);
    for (size_t size = 1; size <= text.size(); ++size) {
        const auto token = scores.find(std::string(text.substr(0, size)));
        if (token != scores.end()) {
            best = std::max(best, token->second + best_score(scores, text.substr(size), unknown));
        }
    }
    return best;
}

TEST(Unigram, FindsTheBestOfAllWays) {
    constexpr double kUnknownScore = -64;
    std::mt19937 random(41);
    for (int round = 0; round < 200; ++round) {
        std::map<std::string, double> scores;
        for (int i = 0; i < 12; ++i) {
            std::string token(1 + random() % 4, 'a');
            for (char& letter : token) {
                letter = static_cast<char>('a' + random() % 3);
            }
            scores[token] = -static_cast<double>(random() % 32);  // sums are exact
        }
        std::vector<Unigram::Token> tokens;
        std::vector<double> score_of;
        for (const auto& [text, score] : scores) {
            tokens.push_back({text, static_cast<TokenId>(score_of.size()), score});
            score_of.push_back(score);
        }
        const auto model = model_of(tokens, kUnknownScore);
        std::string text(random() % 10, 'a');
        for (char& letter : text) {
            letter = static_cast<char>('a' + random() % 3);
        }
        double score = 0;
        size_t known_bytes = 0;
        for (const TokenId id : encode(*model, text)) {
            if (id != kUnknown) {
                score += score_of[id];
                known_bytes += std::next(scores.begin(), static_cast<ptrdiff_t>(id))->first.size();
            }
        }
        score += kUnknownScore * static_cast<double>(text.size() - known_bytes);
        EXPECT_EQ(score, best_score(scores, text, kUnknownScore)) << text;
    }
}

TEST(Unigram, TooLongAPieceIsRefused) {
    const std::string longest(Unigram::kPieceBytesMax, 'a');
    const Unigram::Token fits{.text = longest, .id = 0, .score = -1};
    EXPECT_TRUE(Unigram::create({}, std::span(&fits, 1), {}));
    const std::string longer = longest + "a";
    const Unigram::Token token{.text = longer, .id = 0, .score = -1};
    const auto model = Unigram::create({}, std::span(&token, 1), {});
    ASSERT_FALSE(model);
    EXPECT_THAT(model.error().message, ::testing::HasSubstr("513 bytes"));
}

TEST(Unigram, ARunOfUnknownCharactersIsOneToken) {
    const std::vector<Unigram::Token> tokens = {{"a", 0, -1}, {"ab", 1, -1}};
    const auto model = model_of(tokens, -10);
    EXPECT_THAT(encode(*model, "axyza\xE4\xB8\xAD"), ElementsAre(0, kUnknown, 0, kUnknown));
    EXPECT_THAT(encode(*model, "abb"), ElementsAre(1, kUnknown));
    EXPECT_EQ(model->find("ab"), 1U);
    EXPECT_EQ(model->find("b"), std::nullopt);
}

TEST(Unigram, WhatNoTokenSaysIsSaidInBytesIfAllOfThemAreThere) {
    const std::vector<Unigram::Token> tokens = {{"a", 0, -1}};
    std::array<std::optional<TokenId>, 256> bytes;
    bytes[0xC3] = 50;
    bytes[0xA9] = 51;
    const auto model = *Unigram::create({.unknown = kUnknown, .unknown_score = -10}, tokens, bytes);
    EXPECT_THAT(encode(*model, "a\xC3\xA9"), ElementsAre(0, 50, 51));
    EXPECT_THAT(encode(*model, "\xC3\xA8"), ElementsAre(kUnknown));
}

TEST(Unigram, TK9_ALongTextWithoutAnyCutIsEncodedWhole) {
    const std::vector<Unigram::Token> tokens = {{"a", 0, -2}, {"aa", 1, -3}, {"aaa", 2, -4}};
    const auto model = model_of(tokens, -10);
    const std::string text(300'000, 'a');
    const auto ids = encode(*model, text);
    EXPECT_EQ(ids.size(), text.size() / 3);
    EXPECT_EQ(std::ranges::count(ids, TokenId{2}), static_cast<ptrdiff_t>(ids.size()));
}

TEST(PrefixTrie, FindsEveryTextThatATextBeginsWith) {
    std::mt19937 random(43);
    std::map<std::string, uint32_t> texts;
    for (uint32_t i = 0; i < 3000; ++i) {
        std::string text(1 + random() % 6, '\0');
        for (char& byte : text) {
            byte = static_cast<char>(random() % 40 * 6);
        }
        texts.emplace(text, i);
    }
    std::vector<PrefixTrie::Entry> entries;
    for (const auto& [text, value] : texts) {
        entries.push_back({text, value});
    }
    std::shuffle(entries.begin(), entries.end(), random);
    const PrefixTrie trie(entries);
    for (int round = 0; round < 3000; ++round) {
        std::string text(random() % 8, '\0');
        for (char& byte : text) {
            byte = static_cast<char>(random() % 40 * 6);
        }
        std::vector<std::pair<size_t, uint32_t>> expected;
        for (size_t size = 1; size <= text.size(); ++size) {
            if (const auto found = texts.find(text.substr(0, size)); found != texts.end()) {
                expected.emplace_back(size, found->second);
            }
        }
        std::vector<std::pair<size_t, uint32_t>> found;
        trie.each_prefix(text,
                         [&](size_t size, uint32_t value) { found.emplace_back(size, value); });
        ASSERT_EQ(found, expected);
    }
}

// ---- WordPiece ----

TEST(WordPiece, TakesTheLongestTokenAndThenTheLongestContinuation) {
    const std::vector<WordPiece::Token> beginnings = {{"un", 0}, {"u", 1}, {"able", 2}};
    const std::vector<WordPiece::Token> continuations = {{"a", 3}, {"able", 4}, {"x", 5}};
    const WordPiece model({.unknown = kUnknown, .characters_max = 10}, beginnings, continuations,
                          beginnings);
    EXPECT_THAT(encode(model, "unablex"), ElementsAre(0, 4, 5));
    EXPECT_THAT(encode(model, "able"), ElementsAre(2));
    EXPECT_THAT(encode(model, "unz"), ElementsAre(kUnknown));  // as a whole
    EXPECT_THAT(encode(model, "uxxxxxxxxx"), ::testing::SizeIs(10));
    EXPECT_THAT(encode(model, "uxxxxxxxxxx"), ElementsAre(kUnknown));  // 11 characters
}

TEST(WordPiece, OfWholeWordsKnowsNoParts) {
    const std::vector<WordPiece::Token> words = {{"a", 0}, {"ab", 1}};
    const WordPiece model({.unknown = kUnknown, .whole_words_only = true}, words, {}, words);
    EXPECT_THAT(encode(model, "ab"), ElementsAre(1));
    EXPECT_THAT(encode(model, "aba"), ElementsAre(kUnknown));
}

// ---- The character map ----

// A map of a few strings of two bytes or less, laid out by hand: every node's children are at an
// offset of their own, 256 apart.
std::vector<std::byte> charsmap_of(const std::map<std::string, std::string>& rules) {
    std::string pool;
    std::map<std::string, uint32_t> blocks{{"", 256}};  // of each node that has children
    for (const auto& [from, to] : rules) {
        for (size_t size = 1; size <= from.size(); ++size) {
            blocks.emplace(from.substr(0, size), static_cast<uint32_t>(256 * (blocks.size() + 1)));
        }
    }
    std::vector<uint32_t> units(256 * (blocks.size() + 2));
    const auto reach = [](uint32_t from, uint32_t to) {
        return (from ^ to) << 10;
    };
    units[0] = reach(0, blocks.at(""));
    for (const auto& [text, block] : blocks) {
        if (text.empty()) {
            continue;
        }
        const auto byte = static_cast<unsigned char>(text.back());
        const uint32_t at = blocks.at(text.substr(0, text.size() - 1)) ^ byte;
        units[at] = reach(at, block) | byte;
        if (const auto rule = rules.find(text); rule != rules.end()) {
            units[at] |= 1U << 8;
            units[block] = 1U << 31 | static_cast<uint32_t>(pool.size());
            pool += rule->second + '\0';
        }
    }
    std::vector<std::byte> out;
    const auto put = [&](uint32_t value) {
        for (int shift = 0; shift < 32; shift += 8) {
            out.push_back(static_cast<std::byte>(value >> shift));
        }
    };
    put(static_cast<uint32_t>(units.size() * 4));
    std::ranges::for_each(units, put);
    for (const char character : pool) {
        out.push_back(static_cast<std::byte>(character));
    }
    return out;
}

TEST(Charsmap, TakesTheLongestOrGraphemesAsWanted) {
    const auto map = *Charsmap::create(charsmap_of({{"a", "1"}, {"ab", "22"}, {"\xC3\xA9", "e"}}));
    EXPECT_EQ(map.apply_longest("abac\xC3\xA9"), "221ce");
    // No two letters are one grapheme, and of one that has an accent the shortest beginning counts.
    EXPECT_EQ(map.apply_to_graphemes("abac\xC3\xA9"), "1b1ce");
    EXPECT_EQ(map.apply_to_graphemes("a\xCC\x81"
                                     "b"),
              "1b");
    EXPECT_EQ(map.apply_to_graphemes("b\xCC\x81"
                                     "a"),
              "b\xCC\x81"
              "1");
    // Six bytes: character by character.
    EXPECT_EQ(map.apply_to_graphemes("a\xCC\x81\xE2\x83\xA3"), "1\xCC\x81\xE2\x83\xA3");
}

TEST(Charsmap, OffsetsOutsideOfTheFileAreRefused) {
    const auto refusal = [](std::vector<std::byte> bytes) {
        const auto map = Charsmap::create(bytes);
        EXPECT_FALSE(map);
        return map ? std::string() : map.error().message;
    };
    const auto whole = charsmap_of({{"a", "1"}});
    EXPECT_THAT(refusal({}), HasSubstr("its trie"));
    EXPECT_THAT(refusal({whole.begin(), whole.begin() + 100}), HasSubstr("its trie"));
    EXPECT_THAT(refusal({whole.begin(), whole.end() - 1}), HasSubstr("do not end"));
    auto far = whole;
    const size_t leaf = 4 + 4 * 512;  // the first block of "a"
    far[leaf + 1] = std::byte{0x7F};
    EXPECT_THAT(refusal(far), HasSubstr("no replacement"));
}

TEST(Charsmap, ABrokenTrieLeadsNowhere) {
    const auto whole = charsmap_of({{"a", "1"}, {"ab", "2"}});
    std::mt19937 random(47);
    for (int round = 0; round < 2000; ++round) {
        auto broken = whole;
        broken[4 + random() % (broken.size() - 4)] = static_cast<std::byte>(random());
        if (const auto map = Charsmap::create(broken)) {
            (void)map->apply_longest("abacab");
            (void)map->apply_to_graphemes("abacab");
        }
    }
}

}  // namespace
}  // namespace weir::text
