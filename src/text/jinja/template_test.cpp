#include "text/jinja/template.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>

#include "json/parse.h"
#include "text/jinja/reference_cases.h"

namespace weir::text::jinja {
namespace {

constexpr std::string_view kContext = R"({
    "s": "Hello, Wörld", "n": 5, "neg": -7, "f": 2.5, "t": true, "nul": null, "l": [3, 1, 2],
    "names": ["bob", "Alice", "carol", "alice"], "d": {"b": 1, "a": 2, "items": "x"},
    "users": [{"name": "Z", "age": 3, "g": {"x": 1}}, {"name": "a", "age": 1, "g": {"x": 2}},
              {"name": "m", "age": 3, "g": {"x": 0}}],
    "emoji": "a🙂b", "ml": "one\n two\n\nthree\n", "html": "<a href='x'>&\"</a>",
    "big": 30000000000, "nested": [1, [2, [3]]], "empty": [], "es": "", " u": 1, "sp": "  a b  c ",
    "mixed": [1, "a", null, 2.0, true]})";

Result<Rendered> render(std::string_view source, std::string_view context = kContext,
                        RenderOptions options = {}) {
    using namespace std::chrono;
    options.now = local_days(2025y / July / 26) + hours(9) + minutes(5) + seconds(3);
    WEIR_TRY_ASSIGN(const Template compiled, Template::parse(source));
    WEIR_TRY_ASSIGN(const json::Value variables, json::parse(context));
    return compiled.render(variables, options);
}

TEST(JinjaTemplate, RendersWhatTheReferenceRenders) {
    for (const ReferenceCase& reference : kReferenceCases) {
        const auto rendered = render(reference.source);
        ASSERT_TRUE(rendered) << reference.source << "\n" << rendered.error().message;
        EXPECT_EQ(rendered->text(), reference.rendered) << reference.source;
    }
}

TEST(JinjaTemplate, FailsWhereTheReferenceFails) {
    for (const std::string_view source : kReferenceErrors) {
        const auto rendered = render(source);
        ASSERT_FALSE(rendered) << source << "\n" << rendered->text();
        EXPECT_EQ(rendered.error().code, ErrorCode::InvalidArgument) << source;
    }
}

TEST(JinjaTemplate, SaysTheLineOfAnError) {
    EXPECT_THAT(render("a\n{{ 1 + }}").error().message, testing::HasSubstr("line 2"));
    EXPECT_THAT(render("a\n\n{{ nul.x.y }}").error().message, testing::HasSubstr("line 3"));
}

TEST(JinjaTemplate, SaysWhatTheTemplateRaises) {
    const auto rendered = render("{{ raise_exception('roles must alternate') }}");
    ASSERT_FALSE(rendered);
    EXPECT_EQ(rendered.error().message, "roles must alternate");
    EXPECT_EQ(rendered.error().reason, "template_raised");
}

TEST(JinjaTemplate, ListsMayGrowThoughTheReferenceRefusesIt) {
    EXPECT_EQ(render("{% set q = [] %}{% set _ = q.append(1) %}{% set _ = q.extend([2, 3]) %}"
                     "{{ q.pop(0) }}{{ q }}")
                  ->text(),
              "1[2, 3]");
}

TEST(JinjaTemplate, LenientTakesWhatTheReferenceRefuses) {
    const std::pair<std::string_view, std::string_view> cases[] = {
        {R"({{ ('{"a": [1, null]}' | from_json).a[0] + 1 }})", "2"},
        {"{{ [1, 2] | map('string') | tojson }}", R"(["1", "2"])"},
        {"{% set d = {'a': 1} %}{% set d.a = 2 %}{% set d.b = 3 %}{{ d }}", "{'a': 2, 'b': 3}"}};
    for (const auto& [source, text] : cases) {
        const auto lenient = Template::parse(source, Mode::Lenient);
        ASSERT_TRUE(lenient) << lenient.error().message;
        const auto rendered = lenient->render(json::Object(), {});
        ASSERT_TRUE(rendered) << rendered.error().message;
        EXPECT_EQ(rendered->text(), text);
        const auto strict = Template::parse(source);
        EXPECT_FALSE(strict && strict->render(json::Object(), {})) << source;
    }
    for (const std::string_view source :
         {"{{ 'no json' | from_json }}", "{{ 1 | from_json }}", "{{ none | from_json }}"}) {
        EXPECT_FALSE(Template::parse(source, Mode::Lenient)->render(json::Object(), {})) << source;
    }
}

TEST(JinjaTemplate, ContextStringsThatAreNoUtf8AreRepaired) {
    const auto compiled = Template::parse("{{ s }}{{ s|length }}");
    json::Object context;
    context.set("s", std::string("a\xFF"));
    EXPECT_EQ(compiled->render(json::Value(std::move(context)), {})->text(),
              "a\xEF\xBF\xBD"
              "2");
}

TEST(JinjaTemplate, SourcesThatAreNoUtf8OrTooLongAreRefused) {
    EXPECT_FALSE(Template::parse("a\xFF"));
    EXPECT_FALSE(Template::parse(std::string(Template::kSourceBytesMax + 1, 'a')));
}

// -2^127 is the one integer whose magnitude is none.
TEST(JinjaTemplate, TheLeastIntegerIsWritten) {
    const std::string digits = "-170141183460469231731687303715884105728";
    const auto with = [](std::string_view use) {
        return render("{% set m = -(2**126) * 2 %}{{ " + std::string(use) + " }}");
    };
    EXPECT_EQ(with("m")->text(), digits);
    EXPECT_EQ(with("'%d' % m")->text(), digits);
    EXPECT_EQ(with("'{:d}'.format(m)")->text(), digits);
    EXPECT_EQ(with("'%x' % m")->text(), "-80000000000000000000000000000000");
    EXPECT_EQ(with("'{:,}'.format(m)")->text(),
              "-170,141,183,460,469,231,731,687,303,715,884,105,728");
    EXPECT_EQ(with("'%045d' % m")->text(), "-00000" + digits.substr(1));
    EXPECT_EQ(with("m % -1")->text(), "0");
    EXPECT_EQ(with("m // 2")->text(), "-85070591730234615865843651857942052864");
    for (const char* overflow :
         {"m // -1", "-m", "m|abs", "m * -1", "m - 1", "(2**126 - 1 + 2**126)|round(-1)"}) {
        EXPECT_FALSE(with(overflow)) << overflow;
    }
}

TEST(JinjaTemplate, ARangeKnowsItsIntegersHoweverFarTheOthersAre) {
    const auto with = [](std::string_view use) {
        return render("{% set m = -(2**126) * 2 %}{{ " + std::string(use) + " }}")->text();
    };
    EXPECT_EQ(with("m in range(0, -9, -1)"), "False");
    EXPECT_EQ(with("m in range(0, 9)"), "False");
    EXPECT_EQ(with("m in range(1, 9)"), "False");
    EXPECT_EQ(with("-8 in range(0, -9, -1)"), "True");
    EXPECT_EQ(with("-9 in range(0, -9, -1)"), "False");
    EXPECT_EQ(with("0 in range(0, -9, -2)"), "True");
    EXPECT_EQ(with("-3 in range(0, -9, -2)"), "False");
    EXPECT_EQ(with("7 in range(1, 9, 3)"), "True");
    EXPECT_EQ(with("-2 in range(1, 9, 3)"), "False");
}

// --- Rows of the reliability catalogue.

void expect_limit(std::string_view source, RenderOptions options = {}) {
    const auto rendered = render(source, kContext, options);
    ASSERT_FALSE(rendered) << source;
    EXPECT_EQ(rendered.error().reason, "template_limit") << rendered.error().message;
}

// One change of trust a byte: the marks are eight times the text.
TEST(JinjaTemplate, TK4_MarksCountAsMemory) {
    const auto with_memory = [](size_t bytes) {
        RenderOptions options;
        options.limits.memory_bytes_max = bytes;
        return options;
    };
    const auto parts = [](std::string_view source, const RenderOptions& options) {
        return render(source, R"({"s": "a"})", options);
    };
    // 2000 bytes of text, 16000 of marks.
    const std::string_view repeated = "{% set t = (s ~ 'x') * 1000 %}{{ t|length }}";
    EXPECT_FALSE(parts(repeated, with_memory(12'000)));
    EXPECT_EQ(parts(repeated, with_memory(64'000))->text(), "2000");
    // The same in the output, of which every run becomes a segment.
    const std::string_view printed = "{% for i in range(1000) %}{{ s }}x{% endfor %}";
    EXPECT_FALSE(parts(printed, with_memory(60'000)));
    EXPECT_EQ(parts(printed, with_memory(400'000))->segments.size(), 2000u);
}

TEST(JinjaTemplate, TK4_PiecesAreRefusedBeforeTheyAreMade) {
    RenderOptions options;
    options.limits.memory_bytes_max = 1 << 20;
    for (const char* split :
         {"(',' * 500000).split(',')", "(',' * 500000).rsplit(',')", "('a ' * 250000).split()",
          "('a ' * 250000).rsplit()", "('\\n' * 500000).splitlines()", "('ab' * 200000)[::-1]"}) {
        expect_limit("{{ " + std::string(split) + "|length }}", options);
    }
    EXPECT_EQ(render("{{ ('a,' * 200000).count(',') }}", kContext, options)->text(), "200000");
    EXPECT_EQ(
        render("{{ 'a,b,c,,d'.rsplit(',', 2) }}{{ 'aaa'.rsplit('aa') }}{{ 'aaa'.split('aa') }}"
               "{{ ' a  b c '.rsplit(None, 1) }}")
            ->text(),
        "['a,b,c', '', 'd']['a', '']['', 'a'][' a  b', 'c']");
}

TEST(JinjaTemplate, TK1_AHugeRangeIsRefusedAndALongOneIsLazy) {
    expect_limit("{{ range(10**9) }}");
    expect_limit("{% for i in range(100001) %}{% endfor %}");
    RenderOptions little;
    little.limits.memory_bytes_max = 10'000;
    EXPECT_EQ(render("{{ range(100000)[99999] }}", kContext, little)->text(), "99999");
}

TEST(JinjaTemplate, TK2_NestedLoopsRunOutOfFuel) {
    expect_limit("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}");
    RenderOptions options;
    options.limits.steps_max = 100'000;
    expect_limit(
        "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}"
        "{% endfor %}{% endfor %}{% endfor %}",
        options);
    expect_limit("{% set q = [1] %}{% for x in q %}{% set _ = q.append(x) %}{% endfor %}", options);
    expect_limit(
        "{% set x = 'a' * 1000000 %}{% for i in range(99999) %}{{ x in 'b' or x == x }}"
        "{{ x|length }}{% endfor %}",
        options);
}

TEST(JinjaTemplate, TK3_RecursionAndNestingAreBounded) {
    expect_limit("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}");
    expect_limit(
        "{% macro m(x) %}{% call m(x) %}{{ caller() }}{% endcall %}{% endmacro %}{{ m(1) }}");
    expect_limit("{% for x in nested recursive %}{{ loop(nested) }}{% endfor %}");
    EXPECT_FALSE(
        Template::parse("{{ " + std::string(150, '(') + "1" + std::string(150, ')') + " }}"));
    EXPECT_FALSE(Template::parse("{{ " + std::string(150, '-') + "1 }}"));
    EXPECT_FALSE(Template::parse("{{ " + std::string(100000, '[') + " }}"));
    std::string nots = "{{ ";
    std::string ifs;
    std::string chain = "{{ s";
    for (int i = 0; i < 20000; ++i) {
        nots += "not ";
        ifs += "{% if t %}";
        chain += ".s";
    }
    EXPECT_FALSE(Template::parse(nots + "1 }}"));
    EXPECT_FALSE(Template::parse(ifs));
    EXPECT_FALSE(render(chain + " }}"));
}

// A shipped template spells the types of parameters by a macro that calls itself for each of a
// list's: for the letters of "null" too, which is a type that it does not know. The tools are the
// client's.
TEST(JinjaTemplate, TK3_ATypeThatIsSpelledLetterByLetterEndsInAnError) {
    constexpr std::string_view kSource =
        "{% macro spell(type) %}{% if type == 'string' %}str{% elif type is iterable %}"
        "{% for one in type %}{{ spell(one) }}{% endfor %}{% else %}Any{% endif %}{% endmacro %}"
        "{{ spell(wanted) }}";
    const auto parsed = Template::parse(kSource, Mode::Lenient);
    ASSERT_TRUE(parsed);
    for (const char* context : {R"({"wanted": "null"})", R"({"wanted": ["string", "null"]})"}) {
        const auto rendered = parsed->render(*json::parse(context), {});
        ASSERT_FALSE(rendered);
        EXPECT_EQ(rendered.error().reason, kTemplateLimit);
    }
}

// Runs `work` on a thread with a stack of so many bytes.
void on_stack_of(size_t bytes, void (*work)()) {
    pthread_attr_t attributes;
    ASSERT_EQ(pthread_attr_init(&attributes), 0);
    ASSERT_EQ(pthread_attr_setstacksize(&attributes, bytes), 0);
    pthread_t thread{};
    const auto run = [](void* argument) -> void* {
        reinterpret_cast<void (*)()>(argument)();
        return nullptr;
    };
    ASSERT_EQ(pthread_create(&thread, &attributes, run, reinterpret_cast<void*>(work)), 0);
    ASSERT_EQ(pthread_join(thread, nullptr), 0);
    pthread_attr_destroy(&attributes);
}

// Sanitizers make frames several times larger.
#ifdef WEIR_SANITIZED
constexpr size_t kSmallStackBytes = size_t{4} << 20;
#else
constexpr size_t kSmallStackBytes = size_t{256} << 10;
#endif

TEST(JinjaTemplate, TK3_TheDeepestThatIsAllowedFitsASmallStack) {
    on_stack_of(kSmallStackBytes, [] {
        for (const auto& [open, close] :
             std::vector<std::pair<std::string, std::string>>{{"(", ")"},
                                                              {"[", "]"},
                                                              {"{'a':", "}"},
                                                              {"-", ""},
                                                              {"not ", ""},
                                                              {"s if t else ", ""},
                                                              {"s.join(", ")"},
                                                              {"2 ** ", ""}}) {
            std::string deepest;
            for (int depth = 1; depth <= 120; ++depth) {
                std::string source = "{{ ";
                for (int i = 0; i < depth; ++i) {
                    source += open;
                }
                source += "1";
                for (int i = 0; i < depth; ++i) {
                    source += close;
                }
                if (!Template::parse(source + " }}")) {
                    break;
                }
                deepest = source + " }}";
            }
            ASSERT_FALSE(deepest.empty()) << open;
            (void)render(deepest);
        }
        for (const char* recursion :
             {"{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
              "{% macro m() %}{{ [[[[[[[[[[[[m()]]]]]]]]]]]] }}{% endmacro %}{{ m() }}",
              "{% macro m() %}{{ {1: {1: (m() ~ 'a')|trim|upper}} }}{% endmacro %}{{ m() }}",
              "{% macro m() %}{% if t %}{% set x %}{{ m() }}{% endset %}{% endif %}{% endmacro %}"
              "{{ m() }}",
              "{% macro m() %}{% for x in l %}{% filter trim %}{{ m() }}{% endfilter %}{% endfor %}"
              "{% endmacro %}{{ m() }}",
              "{% macro m(x) %}{% call m(x) %}{{ caller() }}{% endcall %}{% endmacro %}{{ m(1) }}",
              "{% for x in nested recursive %}{{ 'a' ~ [loop(nested)] }}{% endfor %}",
              "{% set ns = namespace(x=[]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}"
              "{% endfor %}{{ ns.x }}",
              "{% set ns = namespace(x=[]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}"
              "{% endfor %}{{ ns.x|tojson }}",
              "{% set ns = namespace(x=[]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}"
              "{% endfor %}{{ ns.x == [ns.x] or ns.x < [ns.x] }}"}) {
            EXPECT_FALSE(render(recursion)) << recursion;
        }
    });
}

TEST(JinjaTemplate, TK3_LongChainsAreNoNesting) {
    std::string sum = "{{ 0";
    std::string text = "{{ ''";
    for (int i = 0; i < 5000; ++i) {
        sum += " + 1";
        text += " ~ ''";
    }
    EXPECT_EQ(render(sum + " }}" + text + " }}")->text(), "5000");
}

TEST(JinjaTemplate, TK3_DeepValuesAreBounded) {
    const std::string deep =
        "{% set ns = namespace(x=[]) %}{% for i in range(5000) %}{% set ns.x = [ns.x] %}"
        "{% endfor %}";
    expect_limit(deep + "{{ ns.x }}");
    expect_limit(deep + "{{ ns.x|tojson }}");
    expect_limit("{% set ns = namespace() %}{% set ns.x = [ns] %}{{ ns }}");
}

TEST(JinjaTemplate, TK4_TextThatDoublesIsBounded) {
    const std::string doubling =
        "{% set ns = namespace(x='abcdefgh') %}{% for i in range(60) %}{% set ns.x = ns.x ~ ns.x %}"
        "{% endfor %}";
    RenderOptions options;
    options.limits.memory_bytes_max = size_t{16} << 20;
    expect_limit(doubling, options);
    expect_limit("{{ 'ab' * 10**12 }}");
    expect_limit("{{ 'x'.rjust(10**12) }}{{ '%99999999999d' % 1 }}");
    expect_limit("{{ ('a' * 1000000).replace('a', 'b' * 1000000) }}", options);
    expect_limit(
        "{% set q = [l] %}{% for i in range(99) %}{% set q = [q, q] %}{% endfor %}"
        "{{ [1] * 10**12 }}");
    expect_limit("{% for i in range(99999) %}{{ s * 10 }}{% endfor %}");  // more than 4 MiB
}

TEST(JinjaTemplate, TK4_OutputUpToTheLimitIsRendered) {
    EXPECT_EQ(render("{{ 'a' * 4194304 }}")->text().size(), 4194304U);
    expect_limit("{{ 'a' * 4194305 }}");
}

TEST(JinjaTemplate, TK5_NothingReachesOutOfTheTemplate) {
    for (const std::string_view source :
         {"{{ ''.__class__.__mro__ }}", "{{ s.__class__() }}", "{{ s['__class__'].x }}",
          "{{ range.__globals__.os }}", "{{ d.__init__.__globals__ }}", "{{ self.__init__.x }}",
          "{{ '{0.__class__.x}'.format(s) }}", "{{ l|map(attribute='__class__.x')|list }}",
          "{% include '/etc/passwd' %}", "{% import 'os' as os %}", "{{ open('/etc/passwd') }}",
          "{{ lipsum.__globals__ }}", "{{ d.pop('a') }}", "{{ l.sort() }}", "{{ d.update({}) }}"}) {
        EXPECT_FALSE(render(source)) << source;
    }
}

}  // namespace
}  // namespace weir::text::jinja
