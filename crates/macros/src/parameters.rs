//! The parameters of a task function: which are arguments of the job, and which the worker gives.

use proc_macro2::{Span, TokenStream, TokenTree};
use quote::ToTokens;
use syn::{Attribute, FnArg, Ident, Pat, PatType, Signature, Type};

use crate::diagnostics::Errors;

/// More parameters than a reader can tell apart.
const MAX_PARAMETERS: usize = 12;

/// The handler trait of `celeriac-worker` is implemented for this many injected parameters.
const MAX_INJECTED: usize = 5;

/// One parameter, in the order of the function's.
pub(crate) enum Parameter {
    /// An argument of the job: a field of the struct.
    Data {
        /// What belongs to the field: `#[serde(…)]`, documentation and `#[cfg(…)]`.
        attributes: Vec<Attribute>,
        /// The field.
        name: Ident,
        /// Its type, owned.
        ty: Type,
    },
    /// Something the worker gives: `Context` or `State<…>`.
    Injected {
        /// The type that says what to give.
        ty: Type,
        /// `#[cfg(…)]`.
        attributes: Vec<Attribute>,
    },
}

impl Parameter {
    /// The attributes that decide whether it exists at all; they go wherever the parameter is mentioned.
    pub(crate) fn cfg(&self) -> impl Iterator<Item = &Attribute> {
        let (Self::Data { attributes, .. } | Self::Injected { attributes, .. }) = self;
        attributes.iter().filter(|attribute| attribute.path().is_ident("cfg"))
    }
}

/// Sorts the parameters, and takes away from the function the attributes that belong to fields.
pub(crate) fn sort(signature: &mut Signature, errors: &mut Errors) -> Vec<Parameter> {
    if let Some(surplus) = signature.inputs.iter().nth(MAX_PARAMETERS) {
        errors.at(surplus, format!("a task has at most {MAX_PARAMETERS} parameters; put some into a struct"));
    }
    let mut parameters = Vec::new();
    let mut given = 0;
    for input in &mut signature.inputs {
        match input {
            FnArg::Receiver(receiver) => {
                errors.at(receiver, "a task is a free function and has no `self`; what it needs it gets as `State<…>`");
            }
            FnArg::Typed(input) if is_injected(&input.ty) => {
                given += 1;
                if given == MAX_INJECTED + 1 {
                    errors
                        .at(&*input, format!("a task is given at most {MAX_INJECTED} things; put some into one state"));
                }
                parameters.push(injected(input, errors));
            }
            FnArg::Typed(input) => parameters.extend(data(input, errors)),
        }
    }
    parameters
}

/// Whether the last word of the type is one the worker knows, however it was imported.
fn is_injected(ty: &Type) -> bool {
    match ty {
        Type::Path(path) => {
            path.path.segments.last().is_some_and(|last| last.ident == "Context" || last.ident == "State")
        }
        Type::Reference(reference) => is_injected(&reference.elem),
        Type::Group(group) => is_injected(&group.elem),
        Type::Paren(paren) => is_injected(&paren.elem),
        _ => false,
    }
}

fn injected(input: &mut PatType, errors: &mut Errors) -> Parameter {
    for attribute in input.attrs.extract_if(.., |attribute| attribute.path().is_ident("serde")) {
        errors.at(attribute, "the worker gives this parameter, so it is not read from the arguments");
    }
    if let Type::Reference(reference) = &*input.ty {
        errors.at(&input.ty, format!("this is given by value: write `{}`", text(&reference.elem)));
    }
    let attributes = input.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).cloned().collect();
    Parameter::Injected { ty: (*input.ty).clone(), attributes }
}

fn data(input: &mut PatType, errors: &mut Errors) -> Option<Parameter> {
    // `cfg` stays on the parameter as well: both or neither exist.
    let mut attributes: Vec<_> =
        input.attrs.iter().filter(|attribute| attribute.path().is_ident("cfg")).cloned().collect();
    let moves = |path: &syn::Path| ["serde", "doc", "cfg_attr"].iter().any(|name| path.is_ident(name));
    attributes.extend(input.attrs.extract_if(.., |attribute| moves(attribute.path())));
    check_owned(&input.ty, errors);
    match &*input.pat {
        Pat::Ident(pattern) if pattern.by_ref.is_none() && pattern.subpat.is_none() => {
            Some(Parameter::Data { attributes, name: pattern.ident.clone(), ty: (*input.ty).clone() })
        }
        pattern => {
            let why = "an argument has a plain name, because callers send it by that name";
            errors.at(pattern, format!("{why}; take it apart in the body"));
            None
        }
    }
}

/// Refuses types that borrow or have no name: arguments are stored and read back.
fn check_owned(ty: &Type, errors: &mut Errors) {
    let tokens = ty.to_token_stream();
    if find(&tokens, "impl").is_some() {
        errors.at(ty, "an argument is read back by its type, so write the type and not `impl …`");
    } else if find(&tokens, "&").or_else(|| find(&tokens, "'")).is_some() {
        let owned = match ty {
            Type::Reference(reference) => owned(&reference.elem),
            _ => "an owned type".to_owned(),
        };
        errors.at(ty, format!("the arguments of a job are stored, so they cannot be borrowed; use {owned}"));
    }
}

/// What to write in place of a reference to `ty`.
fn owned(ty: &Type) -> String {
    match ty {
        Type::Slice(slice) => format!("`Vec<{}>`", text(&slice.elem)),
        Type::Path(path) => match text(path).as_str() {
            "str" => "`String`".to_owned(),
            "Path" => "`PathBuf`".to_owned(),
            other => format!("`{other}`"),
        },
        _ => "an owned type".to_owned(),
    }
}

/// A type as it is written; only lists of several types keep a space.
fn text(ty: &impl ToTokens) -> String {
    ty.to_token_stream().to_string().replace(' ', "").replace(',', ", ")
}

/// Where the keyword or sign stands, at any depth.
pub(crate) fn find(tokens: &TokenStream, wanted: &str) -> Option<Span> {
    tokens.clone().into_iter().find_map(|token| match token {
        TokenTree::Group(group) => find(&group.stream(), wanted),
        TokenTree::Punct(punct) => (wanted.len() == 1 && wanted.starts_with(punct.as_char())).then(|| punct.span()),
        TokenTree::Ident(ident) => (ident == wanted).then(|| ident.span()),
        TokenTree::Literal(_) => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use quote::quote;

    fn sorted(signature: TokenStream) -> (Vec<String>, String, Vec<String>) {
        let mut signature: Signature = syn::parse2(signature).unwrap();
        let mut errors = Errors::default();
        let parameters = sort(&mut signature, &mut errors).iter().map(show).collect();
        let errors = errors.finish().err().into_iter().flatten().map(|error| error.to_string()).collect();
        (parameters, signature.inputs.to_token_stream().to_string(), errors)
    }

    fn show(parameter: &Parameter) -> String {
        match parameter {
            Parameter::Data { attributes, name, ty } => quote!(#(#attributes)* #name: #ty).to_string(),
            Parameter::Injected { ty, attributes } => quote!(#(#attributes)* = #ty).to_string(),
        }
    }

    #[test]
    fn injected_parameters_are_told_by_the_last_word_of_their_type() {
        let (parameters, _, errors) = sorted(quote! {
            async fn a(x: u8, c: Context, mut y: a::Count, State(db): celeriac::State<Db>, s: Estate)
        });
        let wanted =
            [quote!(x: u8), quote!(= Context), quote!(y: a::Count), quote!(= celeriac::State<Db>), quote!(s: Estate)];
        assert_eq!(parameters, wanted.map(|tokens| tokens.to_string()));
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn attributes_of_fields_leave_the_function() {
        let (parameters, function, errors) = sorted(quote! {
            async fn a(#[doc = "X."] #[serde(default)] #[cfg(a)] #[expect(unused)] x: u8, #[cfg(b)] c: Context)
        });
        let field = quote!(#[cfg(a)] #[doc = "X."] #[serde(default)] x: u8);
        assert_eq!(parameters, [field.to_string(), quote!(#[cfg(b)] = Context).to_string()]);
        assert_eq!(function, quote!(#[cfg(a)] #[expect(unused)] x: u8, #[cfg(b)] c: Context).to_string());
        assert!(errors.is_empty(), "{errors:?}");
    }

    #[test]
    fn what_cannot_be_stored_or_named_is_refused() {
        for (parameter, wanted) in [
            (quote!(x: &str), "use `String`"),
            (quote!(x: &'static str), "use `String`"),
            (quote!(x: &[Vec<u8>]), "use `Vec<Vec<u8>>`"),
            (quote!(x: &mut HashMap<u8, u8>), "use `HashMap<u8, u8>`"),
            (quote!(x: Option<&str>), "use an owned type"),
            (quote!(x: Cow<'_, str>), "use an owned type"),
            (quote!(x: impl Display), "not `impl …`"),
            (quote!(c: &Context), "write `Context`"),
            (quote!(#[serde(default)] c: Context), "worker gives this parameter"),
            (quote!((a, b): (u8, u8)), "plain name"),
            (quote!(_: u8), "plain name"),
            (quote!(ref x: u8), "plain name"),
            (quote!(&self), "has no `self`"),
        ] {
            let (_, _, errors) = sorted(quote!(async fn a(#parameter)));
            assert!(errors.len() == 1 && errors[0].contains(wanted), "{parameter} gave {errors:?}");
        }
    }

    #[test]
    fn the_thirteenth_parameter_and_the_sixth_that_is_given_are_too_much() {
        let names: Vec<_> = (0..13).map(|n| quote::format_ident!("p{n}")).collect();
        let twelve = &names[1..];
        assert!(sorted(quote!(async fn a(#(#twelve: u8),*))).2.is_empty());
        assert!(sorted(quote!(async fn a(#(#names: u8),*))).2[0].contains("at most 12"));
        let (five, six) = (&names[..5], &names[..6]);
        assert!(sorted(quote!(async fn a(#(#five: Context),*))).2.is_empty());
        assert!(sorted(quote!(async fn a(#(#six: Context),*))).2[0].contains("at most 5"));
    }
}
