#include "cli/table.h"

#include <gtest/gtest.h>

#include <array>

namespace weir::cli {
namespace {

constexpr std::array kColumns = std::to_array<Column>({{"name", "NAME", 6}, {"count", "COUNT", 5}});

TEST(Table, HasALineForEachObjectAndSaysWhatIsMissing) {
    const auto text = table_text(R"({"rows":[{"name":"a","count":1},{"name":"","count":null},{}]})",
                                 "rows", kColumns, OutputForm::Text);
    ASSERT_TRUE(text);
    EXPECT_EQ(*text,
              "NAME   COUNT \n"
              "a      1     \n"
              "(none) -     \n"
              "-      -     \n");
}

TEST(Table, AsJsonIsTheAnswerItself) {
    EXPECT_EQ(table_text(R"({"rows":[]})", "rows", kColumns, OutputForm::Json), "{\"rows\":[]}\n");
}

TEST(Table, RefusesAnAnswerWithoutItsRows) {
    EXPECT_FALSE(table_text("{}", "rows", kColumns, OutputForm::Text));
    EXPECT_FALSE(table_text("no JSON", "rows", kColumns, OutputForm::Text));
}

}  // namespace
}  // namespace weir::cli
