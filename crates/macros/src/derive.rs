//! `derive(Task)`: the impl for a struct that holds the arguments.

use proc_macro2::{Span, TokenStream};
use quote::quote;
use syn::{Attribute, Data, DeriveInput, Meta};

use crate::diagnostics::Errors;
use crate::options::{Options, Place};

/// Writes the impl, or the errors.
pub(crate) fn expand(item: TokenStream) -> TokenStream {
    syn::parse2(item).and_then(|item| implement(&item)).unwrap_or_else(|error| error.to_compile_error())
}

fn implement(item: &DeriveInput) -> syn::Result<TokenStream> {
    let mut errors = Errors::default();
    let options = errors.take(options(item));
    if !item.generics.params.is_empty() {
        errors.at(&item.generics, "a task has one name, so the type of its arguments has no parameters");
    }
    for attribute in inner_attributes(&item.data).filter(|attribute| attribute.path().is_ident("task")) {
        errors.at(attribute, "`#[task(…)]` goes on the type itself");
    }
    errors.finish()?;
    Ok(options.map(|options| impl_task(item, &options)).unwrap_or_default())
}

/// Reads the one `#[task(…)]` of the type.
fn options(item: &DeriveInput) -> syn::Result<Options> {
    let mut attributes = item.attrs.iter().filter(|attribute| attribute.path().is_ident("task"));
    let Some(attribute) = attributes.next() else {
        let message = "the task's name is missing; write it below the derive, as in `#[task(\"mail.send\")]`";
        return Err(syn::Error::new(Span::call_site(), message));
    };
    if let Some(second) = attributes.next() {
        return Err(syn::Error::new_spanned(second, "a second `#[task(…)]`; all options go into one"));
    }
    match &attribute.meta {
        Meta::List(list) => {
            let around = attribute.path().segments.last().map_or(Span::call_site(), |last| last.ident.span());
            Options::parse(list.tokens.clone(), around, Place::Struct)
        }
        other => Err(syn::Error::new_spanned(other, "the task's name is missing; write `#[task(\"mail.send\")]`")),
    }
}

/// Attributes of fields and variants.
fn inner_attributes(data: &Data) -> impl Iterator<Item = &Attribute> {
    let (fields, variants): (Vec<_>, Vec<_>) = match data {
        Data::Struct(data) => (data.fields.iter().collect(), Vec::new()),
        Data::Enum(data) => {
            (data.variants.iter().flat_map(|variant| &variant.fields).collect(), data.variants.iter().collect())
        }
        Data::Union(data) => (data.fields.named.iter().collect(), Vec::new()),
    };
    let of_variants = variants.into_iter().flat_map(|variant| &variant.attrs);
    fields.into_iter().flat_map(|field| &field.attrs).chain(of_variants)
}

fn impl_task(item: &DeriveInput, options: &Options) -> TokenStream {
    let Options { name, root, .. } = options;
    let ident = &item.ident;
    let output = options.output.as_ref().map_or_else(|| quote!(()), |output| quote!(#output));
    let options = options.options_fn();
    quote! {
        #[automatically_derived]
        impl #root::Task for #ident {
            const NAME: &'static str = #name;
            type Output = #output;
            #options
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn expanded(item: TokenStream) -> String {
        expand(item).to_string()
    }

    #[test]
    fn the_impl_is_the_one_a_person_would_write() {
        let text = expanded(quote! {
            #[task("images.resize", output = Vec<Thumbnail>, retries = 5, crate = celeriac_core)]
            struct Resize { path: String }
        });
        let wanted = quote! {
            #[automatically_derived]
            impl celeriac_core::Task for Resize {
                const NAME: &'static str = "images.resize";
                type Output = Vec<Thumbnail>;
                fn options() -> celeriac_core::TaskOptions {
                    celeriac_core::TaskOptions::new().retries(5u32)
                }
            }
        };
        assert_eq!(text, wanted.to_string());
    }

    #[test]
    fn without_options_the_output_is_nothing_and_the_defaults_stay() {
        let text = expanded(quote! { #[task("ping")] struct Ping; });
        let wanted = quote! {
            #[automatically_derived]
            impl ::celeriac::Task for Ping {
                const NAME: &'static str = "ping";
                type Output = ();
            }
        };
        assert_eq!(text, wanted.to_string());
    }

    #[test]
    fn what_has_no_meaning_is_refused() {
        let cases = [
            (quote! { struct A; }, "name is missing; write it below the derive"),
            (quote! { #[task] struct A; }, "name is missing"),
            (quote! { #[task()] struct A; }, "name is missing"),
            (quote! { #[task("a")] #[task("b")] struct A; }, "a second"),
            (quote! { #[task("a")] struct A<T> { value: T } }, "has no parameters"),
            (quote! { #[task("a")] struct A { #[task("b")] value: u8 } }, "goes on the type itself"),
            (quote! { #[task("a")] enum A { #[task("b")] B } }, "goes on the type itself"),
        ];
        for (item, wanted) in cases {
            let text = expanded(item.clone());
            assert!(text.contains(wanted) && !text.contains("impl"), "{item} gave {text}");
        }
    }
}
