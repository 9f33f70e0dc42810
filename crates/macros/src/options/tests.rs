//! The grammar of `#[task(…)]`, on token streams.

use super::*;

fn parse(tokens: TokenStream, place: Place) -> Result<Options, Vec<String>> {
    let answer = Options::parse(tokens, Span::call_site(), place);
    answer.map_err(|errors| errors.into_iter().map(|error| error.to_string()).collect())
}

fn options(tokens: TokenStream) -> Options {
    parse(tokens, Place::Struct).unwrap_or_else(|errors| panic!("{errors:?}"))
}

fn errors(tokens: TokenStream) -> Vec<String> {
    parse(tokens, Place::Struct).err().unwrap_or_default()
}

#[test]
fn every_option_is_read_in_any_order() {
    let options = options(quote! {
        "images.resize", timeout = "1.5s", crate = ::a::b, result_ttl = "0s", retries = 5, queue = "images",
        output = HashMap<String, u8>, backoff = "1s..1m",
    });
    let root = &options.root;
    assert_eq!(options.name.value(), "images.resize");
    assert_eq!(quote!(#root).to_string(), quote!(::a::b).to_string());
    let output = &options.output;
    assert_eq!(quote!(#output).to_string(), quote!(HashMap<String, u8>).to_string());
    let wanted = quote! {
        .timeout(::core::time::Duration::from_millis(1500u64))
        .result_ttl(::core::time::Duration::from_millis(0u64))
        .retries(5u32)
        .queue("images")
        .backoff(::core::time::Duration::from_millis(1000u64), ::core::time::Duration::from_millis(60000u64))
    };
    assert_eq!(options.settings.to_string(), wanted.to_string());
}

#[test]
fn a_name_alone_leaves_the_defaults() {
    let options = options(quote!("ping"));
    assert!(options.options_fn().is_empty());
    let root = &options.root;
    assert_eq!(quote!(#root).to_string(), quote!(::celeriac).to_string());
}

#[test]
fn the_name_is_a_literal_and_stands_first() {
    for tokens in [quote!(queue = "a"), quote!(NAME), quote!(5), quote!(concat!("a", "b"))] {
        let errors = errors(tokens.clone());
        assert!(errors.len() == 1 && errors[0].contains("name comes first"), "{tokens} gave {errors:?}");
    }
    assert!(errors(quote!())[0].contains("name is missing"));
    assert!(errors(quote!("a", "b"))[0].contains("name comes first; what follows"));
    assert!(errors(quote!("a", name = "b"))[0].contains("needs no key"));
}

#[test]
fn all_wrong_options_are_reported_at_once() {
    let errors = errors(quote! {
        "a b", queu = "x", retries = -1, timeout = "5 minutes", result_ttl, backoff("1s"), queue = "", queue = "b",
    });
    let wanted = [
        "the task's name holds ' '",
        "unknown option `queu`; did you mean `queue`?",
        "write `retries = 5`",
        "\"5 minutes\" is no duration",
        "`result_ttl` needs a value, as in `result_ttl = \"2h\"`",
        "`backoff` needs a value",
        "the queue's name is empty",
        "`queue` is set twice",
    ];
    assert_eq!(errors.len(), wanted.len(), "{errors:#?}");
    for (error, wanted) in errors.iter().zip(wanted) {
        assert!(error.contains(wanted), "{error:?} lacks {wanted:?}");
    }
}

#[test]
fn values_of_another_kind_are_shown_how_to_be_written() {
    for (tokens, wanted) in [
        (quote!("a", retries = "5"), "write `retries = 5`"),
        (quote!("a", retries = 5.5), "write `retries = 5`"),
        (quote!("a", retries = 4294967296), "goes from 0 to 4294967295"),
        (quote!("a", timeout = 30), "write `timeout = \"30s\"`"),
        (quote!("a", timeout = Duration::from_secs(5)), "write `timeout = \"30s\"`"),
        (quote!("a", timeout = "0s"), "in no time"),
        (quote!("a", aliases = "b"), "write `aliases = [\"resize\"]`"),
        (quote!("a", aliases = [b]), "write `aliases = [\"resize\"]`"),
        (quote!("a", aliases = ["b c"]), "alias"),
        (quote!("a", soft_timeout = "0s"), "leave `soft_timeout` out"),
        (quote!("a", queue = IMAGES), "write `queue = \"images\"`"),
        (quote!("a", backoff = "1s"), "no back-off"),
        (
            quote!("a", colour = "red"),
            "the options are output, queue, retries, backoff, timeout, soft_timeout, result_ttl, dead_ttl, aliases, crate",
        ),
    ] {
        let errors = errors(tokens.clone());
        assert!(errors.len() == 1 && errors[0].contains(wanted), "{tokens} gave {errors:?}");
    }
}

#[test]
fn a_function_has_no_output_option() {
    let errors = parse(quote!("a", output = Vec<u8>, outpt = u8), Place::Function).err().unwrap_or_default();
    assert!(errors[0].contains("read from its return type"), "{errors:?}");
    assert!(errors[1].contains("unknown option `outpt`; the options are queue"), "{errors:?}");
}

#[test]
fn a_literal_from_a_macro_variable_is_a_literal() {
    let retries = TokenTree::Group(proc_macro2::Group::new(proc_macro2::Delimiter::None, quote!(7)));
    assert_eq!(options(quote!("a", retries = #retries)).settings.to_string(), quote!(.retries(7u32)).to_string());
}
