#include <gtest/gtest.h>

#include <limits>
#include <string>

#include "json/fields.h"
#include "json/parse.h"
#include "json/write.h"

namespace weir::json {
namespace {

std::string round_trip(std::string_view text) {
    const auto value = parse(text);
    return value ? to_text(*value) : value.error().message;
}

TEST(JsonParse, KeepsOrderKindsAndExactNumbers) {
    for (const std::string_view text :
         {R"({"b":1,"a":[true,null,"x\n\u0001é😀"],"c":{"d":-0.5}})", "18446744073709551615",
          "-9223372036854775808", "0.1", "1e+300", "9007199254740993", "\"\"", "[]", "{}"}) {
        EXPECT_EQ(round_trip(text), text);
    }
    EXPECT_EQ(std::get<double>(parse("5e-324")->storage()), 5e-324);
    EXPECT_EQ(std::get<double>(parse("2.2250738585072011e-308")->storage()),
              2.2250738585072011e-308);
    EXPECT_EQ(std::get<double>(parse("1e-400")->storage()), 0.0);
}

TEST(JsonParse, HT12_DuplicatesDepthRangesAndStrayBytesAreRefused) {
    const std::string deep = std::string(65, '[') + std::string(65, ']');
    const std::string very_deep(100000, '[');
    const std::string nul("{\"a\":\0}", 7);
    for (const std::string_view bad :
         {std::string_view(R"({"a":1,"a":2})"),
          std::string_view(R"({"":1,"":2})"),
          std::string_view(R"({"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"a":1})"),
          std::string_view("1e999"),
          std::string_view("-1e999"),
          std::string_view("NaN"),
          std::string_view("18446744073709551616"),
          std::string_view("\xEF\xBB\xBF{}"),
          std::string_view(nul),
          std::string_view(deep),
          std::string_view(very_deep),
          std::string_view("{} x"),
          std::string_view("{"),
          std::string_view(""),
          std::string_view("\"\xFF\""),
          std::string_view(R"("\ud800")"),
          std::string_view("01"),
          std::string_view("// c\n1"),
          std::string_view("[1,]"),
          std::string_view("Infinity"),
          std::string_view("-9223372036854775809"),
          std::string_view(R"({"a":1,"\u0061":2})"),
          std::string_view("\"\x01\"")}) {
        const auto value = parse(bad);
        ASSERT_FALSE(value) << bad.substr(0, 60);
        EXPECT_EQ(value.error().code, ErrorCode::InvalidArgument);
    }
    EXPECT_TRUE(parse(std::string(64, '[') + std::string(64, ']')));
}

// A number that is read as zero makes an answer greedy, silently.
TEST(JsonParse, HT12_ALargeNumberIsNeverReadAsZero) {
    const std::string zeros(400, '0');
    for (const std::string& large :
         {"1" + zeros + ".0", "-1" + zeros + ".5", "1" + zeros + "e-5", std::string("1e309"),
          std::string("0.1e310"), "1" + zeros + "e-50", std::string("1e99999999999999999999"),
          "0." + zeros + "1e800", "0" + std::string(".") + zeros + "1e99999999999999999999"}) {
        const auto value = parse(large);
        ASSERT_FALSE(value) << large.substr(0, 20);
        EXPECT_EQ(value.error().code, ErrorCode::InvalidArgument);
    }
    for (const std::string& small :
         {"0." + zeros + "1", "-0." + zeros + "1", "1" + zeros + "e-900", std::string("1e-400"),
          std::string("1e-2000000000"), "0." + zeros, std::string("0e999"),
          std::string("0.0e2000000000")}) {
        const auto value = parse(small);
        ASSERT_TRUE(value) << small.substr(0, 20) << ": " << value.error().message;
        EXPECT_EQ(std::get<double>(value->storage()), 0.0) << small.substr(0, 20);
    }
    EXPECT_EQ(std::get<double>(parse("1" + zeros + "e-400")->storage()), 1.0);
    EXPECT_EQ(std::get<double>(parse("0." + zeros + "1e401")->storage()), 1.0);
}

Value value_of(Flat::View view);

Object members_of(Flat::View view) {
    Object object;
    for (auto at = view.begin(); at != view.end(); ++at) {
        std::string key(*(*at).if_string());
        object.set(std::move(key), value_of(*++at));
    }
    return object;
}

Value value_of(Flat::View view) {
    if (const auto text = view.if_string()) {
        return *text;
    }
    if (const auto whole = view.if_whole()) {
        return *whole;
    }
    if (view.kind() == Flat::Kind::Large) {
        return Value(18446744073709551615U);
    }
    if (const auto number = view.if_number()) {
        return *number;
    }
    if (view.kind() == Flat::Kind::List) {
        Array items;
        for (const Flat::View item : view) {
            items.push_back(value_of(item));
        }
        return items;
    }
    return view.kind() == Flat::Kind::Members ? Value(members_of(view)) : Value();
}

TEST(JsonParse, FlatMembersSayWhatAValueWould) {
    const std::string_view big =
        R"({"k":1,"":-2,"\u00e9\n":"é\\","long enough to be on the heap":[[],{},["x",[1.5]]],"n":null,
            "u":18446744073709551615,"nested":{"a":{"b":[{"c":"d"}]}}})";
    const std::string text =
        fmt::format(R"({{"other":{{"big":[1]}},"in":{{"big":{},"s":2}}}})", big);
    FlatMember members[] = {{"in", "big"}, {"in", "s"}, {"in", "absent"}};
    const auto rest = parse(text, members);
    ASSERT_TRUE(rest) << rest.error().message;
    EXPECT_EQ(to_text(*rest), R"({"other":{"big":[1]},"in":{"big":null,"s":2}})");
    EXPECT_EQ(value_of(members[0].flat.root()), *parse(big));
    EXPECT_EQ(members[0].flat.root().size(), 14U);
    EXPECT_TRUE(members[1].flat.empty());
    EXPECT_TRUE(members[2].flat.empty());
}

TEST(JsonParse, HT12_FlatMembersMayNotOccurTwiceEither) {
    for (const size_t count : {2U, 8U, 9U, 3000U}) {
        for (const size_t twice : {size_t{0}, count / 2, count - 1}) {
            std::string inner;
            for (size_t i = 0; i < count; ++i) {
                inner += fmt::format("\"key number {}\":{},", i, i);
            }
            FlatMember members[] = {{"a", "b"}};
            EXPECT_TRUE(parse(R"({"a":{"b":{)" + inner + R"("x":0}}})", members));
            for (const std::string_view key : {"key number {}", "k\\u0065y number {}"}) {
                inner += fmt::format("\"{}\":0", fmt::format(fmt::runtime(key), twice));
                FlatMember again[] = {{"a", "b"}};
                EXPECT_FALSE(parse(R"({"a":{"b":{)" + inner + "}}}", again)) << count;
                inner.erase(inner.rfind(',') + 1);
            }
        }
    }
    for (const std::string_view bad :
         {R"({"a":{"b":[1],"b":[1]}})", R"({"a":{"b":[{"x":1,"x":2}]}})", R"({"a":{"b":[1})",
          R"({"a":{"b":[1e999]}})", R"({"a":{"b":["\ud800"]}})"}) {
        FlatMember members[] = {{"a", "b"}};
        EXPECT_FALSE(parse(bad, members)) << bad;
    }
}

TEST(JsonParse, LargeObjectsFindTheirMembers) {
    std::string text = "{";
    for (int i = 0; i < 1000; ++i) {
        text += fmt::format("{}\"k{}\":{}", i == 0 ? "" : ",", i, i);
    }
    const auto value = parse(text + "}");
    ASSERT_TRUE(value);
    for (int i = 0; i < 1000; ++i) {
        EXPECT_EQ(*value->if_object()->find(fmt::format("k{}", i)), Value(i));
    }
    EXPECT_EQ(value->if_object()->find("k1000"), nullptr);
}

TEST(JsonObject, SetReplacesOrAppendsAtAnySize) {
    Object object;
    for (int i = 0; i < 40; ++i) {
        object.set(fmt::format("k{}", i), i);
        object.set(fmt::format("k{}", i / 2), -i);
    }
    EXPECT_EQ(object.size(), 40u);
    EXPECT_EQ(*object.find("k19"), Value(-39));
    EXPECT_EQ(*object.find("k39"), Value(39));
    EXPECT_EQ(object.begin()->first, "k0");
}

TEST(JsonWrite, InvalidBytesBecomeReplacementCharacters) {
    std::string out;
    append_string(out, "a\xFF\"\\\x1F");
    EXPECT_EQ(out, "\"a\uFFFD\\\"\\\\\\u001f\"");
    out.clear();
    append_number(out, std::numeric_limits<double>::infinity());
    EXPECT_EQ(out, "null");
}

TEST(JsonFields, NamesTheFieldThatIsWrong) {
    const Value body = *parse(R"({"n":3.5,"big":1e30,"flag":"yes","t":2.5,"extra":1,"none":null})");
    Fields fields = *Fields::of(body, "body");
    std::optional<int64_t> n;
    EXPECT_EQ(fields.read("n", in_range<int64_t>(0, 9), n).error().message,
              "body.n must be a whole number");
    EXPECT_EQ(fields.read("big", in_range<int64_t>(0, 9), n).error().field, "body.big");
    bool flag = false;
    EXPECT_EQ(fields.read("flag", flag).error().message, "body.flag must be a boolean, not string");
    std::optional<float> t;
    EXPECT_FALSE(fields.read("t", in_range(0.0f, 2.0f), t));
    EXPECT_TRUE(fields.read("none", in_range(0.0f, 2.0f), t));
    EXPECT_FALSE(t);
    EXPECT_EQ(fields.refuse_unknown().error().field, "body.extra");
    fields.ignore({"extra"});
    EXPECT_TRUE(fields.refuse_unknown());
    EXPECT_EQ(Fields::of(Value(1), "x").error().field, "x");
}

TEST(JsonParse, LargeWholeNumbersAreRoundedOnlyWhereThatIsWanted) {
    constexpr std::string_view kText = R"({"model_max_length": 1000000000000000019884624838656})";
    EXPECT_FALSE(parse(kText));
    const auto value = parse(kText, kModelFile);
    ASSERT_TRUE(value) << value.error().message;
    EXPECT_EQ(to_text(*value), R"({"model_max_length":1e+30})");
    EXPECT_FALSE(parse("1" + std::string(400, '0'), kModelFile));  // no double either
}

}  // namespace
}  // namespace weir::json
