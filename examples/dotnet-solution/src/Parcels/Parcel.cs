using System;

namespace Parcels
{
    /// <summary>A parcel: weight in kilograms, edges in centimetres.</summary>
    public sealed class Parcel
    {
        public const decimal CubicCentimetresPerKilogram = 5000m;

        public Parcel(decimal weight, decimal length, decimal width, decimal height)
        {
            Weight = Positive(weight, nameof(weight));
            Length = Positive(length, nameof(length));
            Width = Positive(width, nameof(width));
            Height = Positive(height, nameof(height));
        }

        public decimal Weight { get; }

        public decimal Length { get; }

        public decimal Width { get; }

        public decimal Height { get; }

        /// <summary>The weight that is charged: bulky parcels count by their volume.</summary>
        public decimal ChargeableWeight =>
            Math.Max(Weight, Length * Width * Height / CubicCentimetresPerKilogram);

        private static decimal Positive(decimal value, string name) =>
            value > 0 ? value : throw new ArgumentOutOfRangeException(name, value, "must be above zero");
    }
}
