#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/output/json_text.h"

namespace weir::text {

// Turns literals as Python writes them, or as Gemma does, into JSON, byte by byte:
//
//     Arguments   a="x", b=[1, None])      up to the bracket that closes them
//     Quoted      a:<|"|>x<|"|>,b:[1]}     likewise
//     Value       {'a': True, 'b': (1,)}   one value
//
// What it gives out is JSON as far as it goes: words that are no literals become strings.
// Bounded: kDepthMax open brackets, kWordBytesMax of one word; more is Fail.
//
// Threads: one.
class LiteralToJson {
  public:
    enum class Style : uint8_t { Arguments, Quoted, Value };
    enum class Status : uint8_t { More, Done, Fail };

    static constexpr size_t kDepthMax = 64;
    static constexpr size_t kWordBytesMax = 1024;

    explicit LiteralToJson(Style style, std::string_view quote = {});

    // Done: this byte closed the arguments. Fail: this byte does not belong there.
    Status feed(char c, std::string& out);
    // Value: the text ends. Whether it was one whole value.
    bool finish(std::string& out);

  private:
    enum class State : uint8_t { Key, KeyWord, Colon, Item, Word, Opening, Text, After, End };

    struct Open {
        char closes;  // in the source
        char json;    // in JSON
        bool has_keys;
    };

    Status feed_key(char c, std::string& out);
    Status feed_key_word(char c, std::string& out);
    Status feed_item(char c, std::string& out);
    Status feed_word(char c, std::string& out);
    Status feed_opening(char c, std::string& out);
    Status feed_text(char c, std::string& out);
    Status feed_quoted_text(char c, std::string& out);
    Status feed_after(char c, std::string& out);

    bool may_begin_text(char c) const;
    Status begin_text(char c, std::string& out, bool is_key);
    Status end_text(std::string& out);
    Status close(char c, std::string& out);
    Status open(Open bracket, std::string& out);
    void begin_element(std::string& out);
    void end_element();
    bool feed_escape(char c, std::string& out);
    void put_code_point(uint32_t code_point, std::string& out);

    std::string quote_;
    State state_ = State::Item;
    bool started_ = false;
    std::vector<Open> open_;
    bool comma_ = false;  // one is due before the next element
    std::string word_;

    bool text_is_key_ = false;
    char delimiter_ = 0;       // 0: quote_
    uint32_t delimiters_ = 0;  // of a triple one, in a row
    enum class Triple : uint8_t { No, AtStart, Perhaps, Yes } triple_ = Triple::No;
    size_t matched_ = 0;  // of quote_
    std::string escape_;  // after a backslash: its letter and digits
    bool in_escape_ = false;
    SurrogatePairs surrogates_;
};

}  // namespace weir::text
