#include "text/bpe.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <string>

#include "text/test_vocabularies.h"
#include "text/tokenizer.h"

namespace weir::text {
namespace {

using Pair = std::pair<uint32_t, uint32_t>;

// What byte-pair encoding says, word for word: look for the lowest rank from the left, merge,
// start again.
std::vector<uint32_t> merge_naively(const std::map<Pair, Merge>& merges,
                                    std::vector<uint32_t> symbols) {
    for (;;) {
        size_t best = symbols.size();
        Merge merge;
        for (size_t i = 0; i + 1 < symbols.size(); ++i) {
            const auto found = merges.find({symbols[i], symbols[i + 1]});
            if (found != merges.end() && found->second.rank < merge.rank) {
                merge = found->second;
                best = i;
            }
        }
        if (best == symbols.size()) {
            return symbols;
        }
        symbols[best] = merge.result;
        symbols.erase(symbols.begin() + static_cast<ptrdiff_t>(best) + 1);
    }
}

TEST(MergeSymbols, IsBytePairEncodingForAnyTableAndLength) {
    std::mt19937 random(17);
    for (int round = 0; round < 300; ++round) {
        std::map<Pair, Merge> merges;
        MergeTable table;
        uint32_t symbols_known = 3;
        // Ranks in random order and repeated: the order of the leftmost counts, too.
        for (uint32_t i = 0; i < 25; ++i) {
            const auto any = [&] {
                return static_cast<uint32_t>(random() % symbols_known);
            };
            const Pair pair{any(), any()};
            if (merges.contains(pair)) {
                continue;
            }
            const Merge merge{static_cast<uint32_t>(random() % 12), symbols_known++};
            merges[pair] = merge;
            table.insert(pair.first, pair.second, merge);
        }
        BpeScratch scratch;
        // Now and then long enough for each of the ways to merge.
        scratch.symbols.resize(round % 25 == 0 ? 2500 : random() % 150);
        const bool runs = round % 50 == 0;  // of one symbol, where one rank is at most places
        uint32_t symbol_now = 0;
        for (uint32_t& symbol : scratch.symbols) {
            symbol_now =
                runs && random() % 100 != 0 ? symbol_now : static_cast<uint32_t>(random() % 3);
            symbol = symbol_now;
        }
        const auto expected = merge_naively(merges, scratch.symbols);
        merge_symbols(table, scratch);
        ASSERT_EQ(scratch.symbols, expected) << round;
    }
}

std::vector<Piece> whole(std::string_view text) {
    return {{0, static_cast<uint32_t>(text.size())}};
}

// n symbols and at most n merges: n look-ups to begin with, two a merge, and every entry of the
// heap goes in and out once. 16 a symbol holds with room; quadratic work would be thousands.
constexpr uint64_t kStepsPerSymbolMax = 16;

uint64_t steps_of(const std::string& text, Bpe::Unit unit) {
    Bpe bpe(Bpe::Options{.unit = unit});
    TokenId next = 0;
    const auto add = [&](const std::string& token) {
        EXPECT_TRUE(bpe.add_token(token, next));
        if (token.size() == 1) {
            bpe.set_byte_token(static_cast<uint8_t>(token[0]), next);
        }
        return next++;
    };
    TokenId letters[26];
    for (int i = 0; i < 26; ++i) {
        letters[i] = add(std::string(1, static_cast<char>('a' + i)));
    }
    uint32_t rank = 0;
    TokenId power = letters[0];  // aa, aaaa, …
    for (size_t size = 2; size <= 64; size *= 2) {
        const TokenId result = add(std::string(size, 'a'));
        bpe.add_merge(power, power, {rank++, result});
        power = result;
    }
    for (int i = 1; i < 25; ++i) {
        const TokenId result = add({static_cast<char>('a' + i), static_cast<char>('a' + i + 1)});
        bpe.add_merge(letters[i], letters[i + 1], {rank++, result});
    }
    bpe.finish(next);
    EncodeScratch scratch;
    std::vector<TokenId> ids;
    EXPECT_TRUE(bpe.encode(text, whole(text), ids, scratch));
    return scratch.bpe.steps;
}

TEST(Bpe, TK9_WorkGrowsWithTheLengthAndNotFaster) {
    constexpr size_t kMiB = size_t{1} << 20;
    std::mt19937 random(19);
    std::string letters(kMiB, 'a');
    for (char& letter : letters) {
        letter = static_cast<char>('a' + random() % 26);
    }
    for (const Bpe::Unit unit : {Bpe::Unit::Bytes, Bpe::Unit::Characters}) {
        EXPECT_LT(steps_of(std::string(kMiB, 'a'), unit), kStepsPerSymbolMax * kMiB);
        EXPECT_LT(steps_of(letters, unit), kStepsPerSymbolMax * kMiB);
    }
}

// Of one repeated character, and of pairs at which a scanner that looks back and forth would go
// over the same run again and again: in quadratic time this test would not end.
void expect_long_runs_encoded_whole(const Tokenizer& tokenizer) {
    constexpr size_t kSize = size_t{128} << 10;
    for (const char* unit :
         {"x", "X", "!", "7", " ", "\n", "\xCC\x81", "\xFF", " \n", "'s", "Xx", "\t "}) {
        std::string text;
        while (text.size() < kSize) {
            text += unit;
        }
        EXPECT_EQ(*tokenizer.decode(*tokenizer.encode(text)), text) << unit;
    }
}

TEST(Bpe, TK8_128KiBWithoutASpaceIsEncodedWhole) {
    for (const char* pre :
         {"gpt-2", "llama-bpe", "tekken", "deepseek-llm", "qwen2", "qwen35", "gpt-4o", "falcon"}) {
        SCOPED_TRACE(pre);
        testing::ByteLevelVocabulary vocabulary(pre);
        expect_long_runs_encoded_whole(vocabulary.load());
    }
}

TEST(Bpe, TK8_SentencePieceEncodesLongRunsWholeToo) {
    expect_long_runs_encoded_whole(testing::SentencePieceVocabulary().load());
}

TEST(Bpe, IgnoringMergesTakesATokenThatNoMergeReaches) {
    for (const bool ignore : {false, true}) {
        Bpe bpe(Bpe::Options{.ignore_merges = ignore});
        for (const char letter : {'a', 'b'}) {
            const TokenId id = letter == 'a' ? 0 : 1;
            ASSERT_TRUE(bpe.add_token({&letter, 1}, id));
            bpe.set_byte_token(static_cast<uint8_t>(letter), id);
        }
        ASSERT_TRUE(bpe.add_token("ab", 2));
        bpe.finish(3);
        EncodeScratch scratch;
        for (int again = 0; again < 2; ++again) {
            std::vector<TokenId> ids;
            ASSERT_TRUE(bpe.encode("ab", whole("ab"), ids, scratch));
            EXPECT_EQ(ids.size(), ignore ? 1U : 2U);
        }
    }
}

TEST(Bpe, APieceThatCameBeforeGivesTheSameTokensAgain) {
    Bpe bpe(Bpe::Options{});
    TokenId next = 0;
    for (const std::string_view token : {"a", "b", "c", "d", "ab", "cd", "abc", "dab"}) {
        ASSERT_TRUE(bpe.add_token(token, next));
        if (token.size() == 1) {
            bpe.set_byte_token(static_cast<uint8_t>(token[0]), next);
        }
        ++next;
    }
    bpe.add_merge(0, 1, {0, 4});
    bpe.add_merge(2, 3, {1, 5});
    bpe.add_merge(4, 2, {2, 6});
    bpe.add_merge(3, 4, {3, 7});
    bpe.finish(next);
    std::mt19937 random(29);
    EncodeScratch kept;
    for (int round = 0; round < 20000; ++round) {
        std::string piece(1 + random() % 18, 'a');
        for (char& letter : piece) {
            letter = static_cast<char>('a' + random() % 4);
        }
        EncodeScratch fresh;
        std::vector<TokenId> expected;
        std::vector<TokenId> ids = {9};
        ASSERT_TRUE(bpe.encode(piece, whole(piece), expected, fresh));
        ASSERT_TRUE(bpe.encode(piece, whole(piece), ids, kept));
        expected.insert(expected.begin(), 9);
        ASSERT_EQ(ids, expected) << piece;
    }
}

TEST(Bpe, AByteWithoutATokenIsAnErrorAndNotDropped) {
    Bpe bpe(Bpe::Options{});
    bpe.finish(1);
    std::vector<TokenId> ids;
    EncodeScratch scratch;
    const auto encoded = bpe.encode("a", whole("a"), ids, scratch);
    ASSERT_FALSE(encoded);
    EXPECT_THAT(encoded.error().message, ::testing::HasSubstr("0x61"));
}

TEST(TextIndex, FindsWhatWasInsertedAndNothingElse) {
    TextIndex index;
    std::mt19937 random(23);
    std::map<std::string, uint32_t> expected;
    for (uint32_t i = 0; i < 5000; ++i) {
        std::string text(random() % 12, '\0');
        for (char& letter : text) {
            letter = static_cast<char>(random() % 4);
        }
        EXPECT_EQ(index.insert(text, i), expected.emplace(text, i).second);
    }
    EXPECT_EQ(index.size(), expected.size());
    for (const auto& [text, value] : expected) {
        EXPECT_EQ(index.find(text), value);
    }
    EXPECT_EQ(index.find("zz"), TextIndex::kNone);
}

}  // namespace
}  // namespace weir::text
