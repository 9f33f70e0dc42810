//! `#[task]`: the function as it was written, and beside it the struct that producers enqueue.

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};
use quote::{ToTokens, format_ident, quote, quote_spanned};
use syn::ext::IdentExt;
use syn::parse::{Parse, ParseStream};
use syn::spanned::Spanned;
use syn::{Attribute, Expr, Ident, Lit, LitStr, Meta, ReturnType, Safety, Signature, Type, Visibility};

use crate::diagnostics::Errors;
use crate::options::{Options, Place};
use crate::parameters::{self, Parameter};

/// A function whose body is kept as tokens: it is none of the macro's business, and while somebody is typing, it is
/// the compiler that shall say what is wrong with it.
struct Function {
    attributes: Vec<Attribute>,
    visibility: Visibility,
    signature: Signature,
    body: Group,
}

impl Parse for Function {
    fn parse(input: ParseStream<'_>) -> syn::Result<Self> {
        let attributes = input.call(Attribute::parse_outer)?;
        let visibility = input.parse()?;
        let rest: TokenStream = input.fork().parse()?;
        let before_lists = rest.into_iter().take_while(|token| !matches!(token, TokenTree::Group(_)));
        if !before_lists.into_iter().any(|token| matches!(token, TokenTree::Ident(word) if word == "fn")) {
            return Err(
                input.error("`#[task(…)]` goes on a function; for a struct, write it below a `#[derive(Task)]`")
            );
        }
        let signature = input.parse()?;
        match input.parse()? {
            TokenTree::Group(body) if body.delimiter() == Delimiter::Brace => {
                Ok(Self { attributes, visibility, signature, body })
            }
            other => Err(syn::Error::new(other.span(), "a task function has a body")),
        }
    }
}

impl ToTokens for Function {
    fn to_tokens(&self, tokens: &mut TokenStream) {
        let Self { attributes, visibility, signature, body } = self;
        tokens.extend(quote!(#(#attributes)* #visibility #signature #body));
    }
}

/// Writes the function with its task; with errors, the function alone, so that its callers do not fail as well.
pub(crate) fn expand(options: TokenStream, item: TokenStream) -> TokenStream {
    let mut function = match syn::parse2::<Function>(item.clone()) {
        Ok(function) => function,
        Err(error) => return [error.to_compile_error(), item].into_iter().collect(),
    };
    let mut errors = Errors::default();
    let options = errors.take(Options::parse(options, Span::call_site(), Place::Function));
    let output = errors.take(output(&function.signature));
    check(&function.signature, &mut errors);
    let parameters = parameters::sort(&mut function.signature, &mut errors);
    let errors = errors.into_tokens();
    let task = match (options, output) {
        (Some(options), Some(output)) if errors.is_empty() => {
            task(&Parts { function: &function, options: &options, output, parameters: &parameters })
        }
        _ => errors,
    };
    // A worker gives each attempt values of its own, whether the function consumes them or not.
    let allowed = function.signature.asyncness.is_none().then(
        || quote!(#[allow(clippy::needless_pass_by_value, reason = "the worker gives each attempt values of its own")]),
    );
    quote!(#allowed #function #task)
}

/// Refuses what cannot be run by name.
fn check(signature: &Signature, errors: &mut Errors) {
    if let Safety::Unsafe(token) = &signature.safety {
        errors.at(token, "a task function is safe: the worker calls it with any arguments of the right types");
    }
    if let Some(abi) = &signature.abi {
        errors.at(abi, "a task function has no foreign ABI");
    }
    if !signature.generics.params.is_empty() {
        errors.at(&signature.generics, "a task has one name, so its function has no type parameters or lifetimes");
    } else if let Some(clause) = &signature.generics.where_clause {
        errors.at(clause, "a task function has no type parameters, so it needs no bounds");
    }
}

/// The return type that was written.
fn output(signature: &Signature) -> syn::Result<Type> {
    match &signature.output {
        ReturnType::Default => Err(syn::Error::new_spanned(
            &signature.ident,
            "a task function returns a `Result`; write `-> Result<(), TaskError>`, or another error type",
        )),
        ReturnType::Type(_, ty) => match parameters::find(&ty.to_token_stream(), "impl") {
            Some(_) => {
                Err(syn::Error::new_spanned(ty, "a result is stored and read back, so write its type and not `impl …`"))
            }
            None => Ok((**ty).clone()),
        },
    }
}

/// All that the task is written from.
struct Parts<'a> {
    function: &'a Function,
    options: &'a Options,
    output: Type,
    parameters: &'a [Parameter],
}

/// A span that shows the user's token, but is known as the macro's: lints about names are about what people write,
/// and a struct in lower case is not their doing.
fn generated(span: Span) -> Span {
    Span::mixed_site().located_at(span)
}

fn task(parts: &Parts<'_>) -> TokenStream {
    let Options { name, root, .. } = parts.options;
    let cfg: Vec<_> = with_name(&parts.function.attributes, "cfg").collect();
    let struct_name = struct_name(parts.function);
    let output = &parts.output;
    // A type that is no result is an error of the type that was written.
    let output = quote_spanned!(output.span()=> <#output as #root::TaskResult>::Output);
    let options = parts.options.options_fn();
    let arguments = arguments(parts);
    let task_fn = task_fn(parts);
    let feeds = feeds(parts);
    quote! {
        #(#cfg)*
        #arguments

        #(#cfg)*
        #[automatically_derived]
        impl #root::Task for #struct_name {
            const NAME: &'static str = #name;
            type Output = #output;
            #options
        }

        #(#cfg)*
        #[automatically_derived]
        #task_fn

        #feeds
    }
}

/// A task with one argument can follow a step that answers a value of its type.
///
/// The struct never has its own type as the type of its only field, so this is not the impl that every task has for itself.
fn feeds(parts: &Parts<'_>) -> Option<TokenStream> {
    let mut data = parts.parameters.iter().filter(|parameter| matches!(parameter, Parameter::Data { .. }));
    let (Some(only @ Parameter::Data { attributes, ty, .. }), None) = (data.next(), data.next()) else { return None };
    // The result is given as a list of one, which serde must read as it would the value itself.
    if attributes.iter().any(changes_its_form) {
        return None;
    }
    let root = &parts.options.root;
    let struct_name = struct_name(parts.function);
    let cfg = with_name(&parts.function.attributes, "cfg").chain(only.cfg());
    Some(quote! {
        #(#cfg)*
        #[automatically_derived]
        impl #root::canvas::Feeds<#struct_name> for #ty {
            const TAKES: #root::canvas::Takes = #root::canvas::Takes::Result;
        }
    })
}

/// Whether a field is not simply a value of its type for serde; what stands behind a condition may be anything.
fn changes_its_form(attribute: &Attribute) -> bool {
    const WORDS: [&str; 7] =
        ["flatten", "skip", "skip_serializing", "skip_deserializing", "with", "serialize_with", "deserialize_with"];
    let tokens = attribute.meta.to_token_stream();
    attribute.path().is_ident("cfg_attr")
        || attribute.path().is_ident("serde") && WORDS.iter().any(|word| parameters::find(&tokens, word).is_some())
}

fn struct_name(function: &Function) -> Ident {
    let mut name = function.signature.ident.clone();
    name.set_span(generated(name.span()));
    name
}

/// The struct: a field for each argument, as visible as the function.
///
/// It has braces even without a field, because a unit struct would take the function's name.
fn arguments(parts: &Parts<'_>) -> TokenStream {
    let root = &parts.options.root;
    let Function { visibility, attributes, .. } = parts.function;
    let struct_name = struct_name(parts.function);
    let docs = docs(parts);
    let deprecated = with_name(attributes, "deprecated");
    let serde = quote!(#root::__private::serde);
    let serde_text = LitStr::new(&serde.to_string(), Span::mixed_site());
    let fields = parts.parameters.iter().filter_map(|parameter| match parameter {
        Parameter::Data { attributes, name, ty } => {
            // The lint about missing documentation does not spare generated code.
            let text = format!(" The parameter `{}`.", name.unraw());
            let doc = with_name(attributes, "doc").next().is_none().then(|| quote!(#[doc = #text]));
            Some(quote!(#doc #(#attributes)* #visibility #name: #ty))
        }
        Parameter::Injected { .. } => None,
    });
    quote! {
        #docs
        #(#deprecated)*
        #[derive(#serde::Serialize, #serde::Deserialize)]
        #[serde(crate = #serde_text)]
        #visibility struct #struct_name {
            #(#fields),*
        }
    }
}

/// The first paragraph of the function's documentation, and where the rest is: an example that is copied would be
/// tested twice.
fn docs(parts: &Parts<'_>) -> TokenStream {
    let paragraph: Vec<_> = with_name(&parts.function.attributes, "doc")
        .map_while(doc_text)
        .flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>())
        .take_while(|line| !line.trim().is_empty() && !line.trim_start().starts_with("```"))
        .collect();
    let function = parts.function.signature.ident.unraw();
    let task = parts.options.name.value();
    let last = format!(" The arguments of the task `{task}`; the function [`{function}`](fn@{function}) runs it.");
    let gap = (!paragraph.is_empty()).then(|| quote!(#[doc = ""]));
    quote!(#(#[doc = #paragraph])* #gap #[doc = #last])
}

fn doc_text(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(meta) => match &meta.value {
            // An empty line has no `lines()`.
            Expr::Lit(literal) => match &literal.lit {
                Lit::Str(text) if text.value().is_empty() => Some("\n".to_owned()),
                Lit::Str(text) => Some(text.value()),
                _ => None,
            },
            _ => None,
        },
        _ => None,
    }
}

/// The registration: a closure that takes the struct apart and calls the function.
fn task_fn(parts: &Parts<'_>) -> TokenStream {
    let root = &parts.options.root;
    let struct_name = struct_name(parts.function);
    let function = &parts.function.signature.ident;
    // One hygiene for both mentions, so that no name of the user's stands between them.
    let job = Ident::new("job", Span::mixed_site());
    let mut inputs = Vec::new();
    let mut values = Vec::new();
    for (index, parameter) in parts.parameters.iter().enumerate() {
        let cfg: Vec<_> = parameter.cfg().collect();
        match parameter {
            Parameter::Data { name, .. } => values.push(quote!(#(#cfg)* #job.#name)),
            Parameter::Injected { ty, .. } => {
                let given = format_ident!("given_{index}", span = Span::mixed_site());
                inputs.push(quote!(#(#cfg)* #given: #ty));
                values.push(quote!(#(#cfg)* #given));
            }
        }
    }
    if parts.function.signature.asyncness.is_none() {
        let handler = quote_spanned!(generated(function.span())=> |#job: Self, #(#inputs),*| #function(#(#values),*));
        return quote! {
            impl #root::TaskFn for #struct_name {
                fn register(tasks: #root::Tasks) -> #root::Tasks {
                    tasks.handle_blocking(#handler)
                }
            }
        };
    }
    // What the handler trait asks for is asked of the user's function, so that is where its errors point.
    let handler =
        quote_spanned!(generated(function.span())=> |#job: Self, #(#inputs),*| sendable(#function(#(#values),*)));
    // `sendable` asks for nothing the handler trait does not, but there the compiler says which value cannot be sent.
    quote! {
        impl #root::TaskFn for #struct_name {
            fn register(tasks: #root::Tasks) -> #root::Tasks {
                fn sendable<F: ::core::future::Future + ::core::marker::Send>(future: F) -> F {
                    future
                }
                tasks.handle(#handler)
            }
        }
    }
}

fn with_name<'a>(attributes: &'a [Attribute], name: &str) -> impl Iterator<Item = &'a Attribute> {
    attributes.iter().filter(move |attribute| attribute.path().is_ident(name))
}

#[cfg(test)]
mod tests;
