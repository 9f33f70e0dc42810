//! What stands in `#[task(…)]`: the grammar, and the checks that need no type.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::quote;
use syn::ext::IdentExt;
use syn::parse::{ParseStream, Parser};
use syn::{Expr, Ident, Lit, LitStr, Path, Token, Type, parse_quote};

use crate::diagnostics::{Errors, nearest};
use crate::values;

/// What the attribute stands on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Place {
    Struct,
    Function,
}

/// A `#[task(…)]` that was read.
pub(crate) struct Options {
    /// The task's name.
    pub(crate) name: LitStr,
    /// The result type that was written.
    pub(crate) output: Option<Type>,
    /// The path that leads to celeriac's items.
    pub(crate) root: Path,
    /// Calls of the builder of `TaskOptions`, as `.retries(5)`.
    settings: TokenStream,
}

/// Each key with the way it is written; the order is that of messages.
const KEYS: [(&str, &str); 10] = [
    ("output", "output = Thumbnail"),
    ("queue", r#"queue = "images""#),
    ("retries", "retries = 5"),
    ("backoff", r#"backoff = "1s..10m""#),
    ("timeout", r#"timeout = "30s""#),
    ("soft_timeout", r#"soft_timeout = "25s""#),
    ("result_ttl", r#"result_ttl = "2h""#),
    ("dead_ttl", r#"dead_ttl = "30d""#),
    ("aliases", r#"aliases = ["resize"]"#),
    ("crate", "crate = celeriac_core"),
];

impl Options {
    /// Reads what stands between the parentheses; `around` is where to point when nothing does.
    pub(crate) fn parse(tokens: TokenStream, around: Span, place: Place) -> syn::Result<Self> {
        if tokens.is_empty() {
            return Err(syn::Error::new(around, "the task's name is missing; write it as in `#[task(\"mail.send\")]`"));
        }
        (|input: ParseStream<'_>| Reader::new(place).read(input)).parse2(tokens)
    }

    /// The `options` function of the impl; nothing where the trait's default will do.
    pub(crate) fn options_fn(&self) -> TokenStream {
        if self.settings.is_empty() {
            return TokenStream::new();
        }
        let Self { root, settings, .. } = self;
        quote! {
            fn options() -> #root::TaskOptions {
                #root::TaskOptions::new() #settings
            }
        }
    }
}

/// Reads options one by one and keeps the errors, so that one wrong value does not hide the next.
struct Reader {
    place: Place,
    seen: Vec<String>,
    output: Option<Type>,
    root: Path,
    settings: TokenStream,
    errors: Errors,
}

impl Reader {
    fn new(place: Place) -> Self {
        Self {
            place,
            seen: Vec::new(),
            output: None,
            root: parse_quote!(::celeriac),
            settings: TokenStream::new(),
            errors: Errors::default(),
        }
    }

    fn read(mut self, input: ParseStream<'_>) -> syn::Result<Options> {
        let name = self.name(input)?;
        while !input.is_empty() {
            input.parse::<Token![,]>()?;
            if !input.is_empty() {
                self.option(input)?;
            }
        }
        self.errors.finish()?;
        Ok(Options { name, output: self.output, root: self.root, settings: self.settings })
    }

    fn name(&mut self, input: ParseStream<'_>) -> syn::Result<LitStr> {
        if !input.peek(LitStr) {
            let message = "the task's name comes first, as a text without a key: `#[task(\"mail.send\", …)]`";
            return Err(input.error(message));
        }
        let name: LitStr = input.parse()?;
        if let Err(message) = values::check_name("task's name", &name.value()) {
            self.errors.at(&name, message);
        }
        Ok(name)
    }

    fn option(&mut self, input: ParseStream<'_>) -> syn::Result<()> {
        if input.peek(Lit) {
            return Err(input.error("the name comes first; what follows it has a key, as in `queue = \"images\"`"));
        }
        let key = Ident::parse_any(input)?;
        let text = key.to_string();
        let Some((_, example)) = KEYS.into_iter().find(|(known, _)| *known == text) else {
            self.errors.at(&key, self.unknown(&text));
            skip(input);
            return Ok(());
        };
        if !input.peek(Token![=]) {
            self.errors.at(&key, format!("`{text}` needs a value, as in `{example}`"));
            skip(input);
            return Ok(());
        }
        input.parse::<Token![=]>()?;
        if self.seen.contains(&text) {
            self.errors.at(&key, format!("`{text}` is set twice"));
        }
        self.seen.push(text.clone());
        match text.as_str() {
            "output" if self.place == Place::Function => {
                self.errors.at(&key, "the output of a function is read from its return type");
                skip(input);
            }
            "output" => self.output = Some(input.parse()?),
            "crate" => self.root = input.call(Path::parse_mod_style)?,
            _ => {
                let value = input.parse::<Expr>()?;
                match setting(&text, &value) {
                    Ok(setting) => self.settings.extend(setting),
                    Err(message) => self.errors.at(&value, message.unwrap_or(format!("write `{example}`"))),
                }
            }
        }
        Ok(())
    }

    fn unknown(&self, given: &str) -> String {
        let keys = KEYS.map(|(key, _)| key).into_iter().filter(|key| self.place == Place::Struct || *key != "output");
        match nearest(given, keys.clone()) {
            _ if given == "name" => "the name needs no key: `#[task(\"mail.send\", …)]`".to_owned(),
            Some(key) => format!("unknown option `{given}`; did you mean `{key}`?"),
            None => format!("unknown option `{given}`; the options are {}", keys.collect::<Vec<_>>().join(", ")),
        }
    }
}

/// Goes on to the next comma that is not between angle brackets, over a value that nobody will read.
fn skip(input: ParseStream<'_>) {
    let mut depth = 0_i32;
    while !(input.is_empty() || depth <= 0 && input.peek(Token![,])) {
        if let Ok(TokenTree::Punct(punct)) = input.parse() {
            depth += i32::from(punct.as_char() == '<') - i32::from(punct.as_char() == '>');
        }
    }
}

/// The builder's call for one option; an error without a text is a value of another kind.
fn setting(key: &str, value: &Expr) -> Result<TokenStream, Option<String>> {
    let millis = |millis: u64| quote!(::core::time::Duration::from_millis(#millis));
    if key == "aliases" {
        return aliases(value);
    }
    match (key, literal(value).ok_or(None)?) {
        ("queue", Lit::Str(queue)) => {
            values::check_name("queue's name", &queue.value())?;
            Ok(quote!(.queue(#queue)))
        }
        ("retries", Lit::Int(retries)) => {
            let retries: u32 = retries.base10_parse().map_err(|_| format!("`retries` goes from 0 to {}", u32::MAX))?;
            Ok(quote!(.retries(#retries)))
        }
        ("backoff", Lit::Str(text)) => {
            let (base, max) = values::backoff(&text.value())?;
            let (base, max) = (millis(base), millis(max));
            Ok(quote!(.backoff(#base, #max)))
        }
        ("timeout" | "soft_timeout", Lit::Str(text)) => {
            let timeout = values::duration(&text.value())?;
            if timeout == 0 {
                return Err(Some(format!("no attempt can end in no time; leave `{key}` out for no limit")));
            }
            let (call, timeout) = (Ident::new(key, Span::call_site()), millis(timeout));
            Ok(quote!(.#call(#timeout)))
        }
        ("dead_ttl", Lit::Str(text)) => {
            let ttl = millis(values::duration(&text.value())?);
            Ok(quote!(.dead_ttl(#ttl)))
        }
        ("result_ttl", Lit::Str(text)) => {
            let ttl = millis(values::duration(&text.value())?);
            Ok(quote!(.result_ttl(#ttl)))
        }
        _ => Err(None),
    }
}

/// The builder's call for the earlier names of a task.
fn aliases(value: &Expr) -> Result<TokenStream, Option<String>> {
    let Expr::Array(list) = value else { return Err(None) };
    let mut names = Vec::new();
    for element in &list.elems {
        let Some(Lit::Str(name)) = literal(element) else { return Err(None) };
        values::check_name("alias", &name.value())?;
        names.push(name);
    }
    Ok(quote!(.aliases(&[#(#names),*])))
}

/// The literal, also one that came through a `macro_rules!` variable.
fn literal(value: &Expr) -> Option<&Lit> {
    match value {
        Expr::Lit(literal) => Some(&literal.lit),
        Expr::Group(group) => literal(&group.expr),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
